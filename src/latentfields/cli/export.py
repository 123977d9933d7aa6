"""`latentfields export`: a finished run as files for other tools."""

from __future__ import annotations

import abc
import dataclasses
import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from latentfields.cli.options import Device
from latentfields.export.config import MeshConfig, PointsConfig

if TYPE_CHECKING:
    from latentfields.latent_nerf.run import Run
    from latentfields.latent_nerf.scene_cameras import SceneCameras


@dataclass(frozen=True, kw_only=True)
class _Export(abc.ABC):
    """Options and steps that all exports share."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of the run, or a file written by `latentfields export scene`."""
    out: Path | None = None
    """What to write."""
    device: Device = "auto"
    json: bool = False
    """Print what was written as JSON."""

    @abc.abstractmethod
    def export(self, run: Run) -> Any:
        """Write, and return a dataclass that says what."""

    def run(self) -> None:
        """Export and say what was written."""
        from latentfields.config.typed_json import to_json
        from latentfields.latent_nerf.run import Run

        summary = self.export(Run.load(self.run_folder, device=self.device))
        if self.json:
            print(json_format.dumps(to_json(summary)))
            return
        values = {
            name: value for name, value in vars(summary).items() if name != "file" and value is not None
        }
        details = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in values.items()
        )
        print(f"{summary.file}: {details}")

    def target(self, run: Run, name: str) -> Path:
        """The file to write: --out, or `name` in RUN/exports, beside a scene file."""
        return self.out or run.home / "exports" / name


@dataclass(frozen=True, kw_only=True)
class _ExportWithViews(_Export):
    """Options and steps of the exports that need the scene's cameras."""

    scene: Path | None = None
    """Where the scene is now; by default where it was fitted from. Not needed for a scene file."""

    def views(self, run: Run) -> SceneCameras:
        """The cameras of the scene that `run` was fitted to."""
        from latentfields.latent_nerf.render import run_views

        return run_views(run, self.scene)


@dataclass(frozen=True, kw_only=True)
class Mesh(_ExportWithViews):
    """Triangle mesh with coloured vertices, or a texture, from the field's density by marching cubes.

    In the capture's own coordinates and axes. Colours are decoded from training views and blended. Needs
    scikit-image: pip install 'latentfields[export]'.
    """

    out: Path | None = None
    """File to write, ending in .ply, .obj or .glb; by default RUN/exports/mesh.ply."""
    options: Annotated[MeshConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=MeshConfig)

    def export(self, run: Run) -> Any:
        """As `export_mesh`."""
        from latentfields.export.mesh import export_mesh

        return export_mesh(run, self.views(run), out=self.target(run, "mesh.ply"), options=self.options)


@dataclass(frozen=True, kw_only=True)
class Points(_ExportWithViews):
    """Coloured point cloud, from the depth that the training views show. In the capture's own coordinates and axes."""

    out: Path | None = None
    """File to write, ending in .ply; by default RUN/exports/points.ply."""
    options: Annotated[PointsConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=PointsConfig)

    def export(self, run: Run) -> Any:
        """As `export_points`."""
        from latentfields.export.points import export_points

        return export_points(run, self.views(run), out=self.target(run, "points.ply"), options=self.options)


@dataclass(frozen=True, kw_only=True)
class Gaussians(_Export):
    """Gaussians as PLY or SPZ, in the capture's own coordinates: of colours in the form that common viewers open.

    Beside Gaussians of latents lie the decoder's folder and a file with what else turns them into pictures. Of a run
    with colours and latents, the file has the colours, and NAME-latents.ply beside it the latents.
    """

    out: Path | None = None
    """File to write, ending in .ply, or in .spz for a tenth of the size, which needs the extra `spz` and holds colours
    alone; by default RUN/exports/gaussians.ply."""

    def export(self, run: Run) -> Any:
        """As `export_gaussians`."""
        from latentfields.export.gaussians import export_gaussians

        return export_gaussians(run, out=self.target(run, "gaussians.ply"))


@dataclass(frozen=True, kw_only=True)
class Cameras(_ExportWithViews):
    """Cameras as Nerfstudio's transforms.json, in the capture's own coordinates; poses in OpenGL axes.

    Intrinsics are those of the pictures that the run was fitted to: undistorted, resized, cropped. These pictures are
    written beside the file, where the scene is there, so that the folder loads as a scene.
    """

    out: Path | None = None
    """Folder to write transforms.json to; by default RUN/exports/cameras."""
    path: Literal["capture", "orbit"] = "capture"
    """The capture's cameras with their splits, or the orbit that `latentfields render` takes."""
    frames: int = 60
    """Views of the orbit."""
    pictures: bool = False
    """Render every view beside the file: the folder is then a Nerfstudio data set of the fitted scene."""
    photographs: bool = True
    """Write the capture's pictures beside the file, unless views are rendered."""

    def export(self, run: Run) -> Any:
        """As `export_cameras`."""
        from latentfields.export.cameras import export_cameras

        out = self.target(run, "cameras")
        return export_cameras(
            run,
            self.views(run),
            out=out,
            path=self.path,
            frames=self.frames,
            pictures=self.pictures,
            photographs=self.photographs,
        )


@dataclass(frozen=True, kw_only=True)
class Scene(_ExportWithViews):
    """The whole fitted scene as one safetensors file: field, autoencoder, cameras, settings.

    Commands take the file in place of a run's folder, on any machine. The capture's pictures are not in it: render,
    view and export do without them, evaluate asks for them by --scene.
    """

    out: Path | None = None
    """File to write, ending in .safetensors; by default RUN/exports/scene.safetensors."""

    def export(self, run: Run) -> Any:
        """As `export_scene`."""
        from latentfields.export.scene_file import export_scene

        return export_scene(run, self.views(run), out=self.target(run, "scene.safetensors"))
