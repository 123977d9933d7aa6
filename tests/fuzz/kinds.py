"""Every kind of input: how a good one is written, which of its files are damaged, and what reads it."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image

from helpers.layouts import LAYOUTS, layout_views
from helpers.scene_files import sphere_points, write_nerfstudio
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.config import AutoencoderRunConfig
from latentfields.autoencoders.load import load_autoencoder
from latentfields.camera_path import CameraPath, Keyframe, load_path, save_path
from latentfields.config.typed_json import to_json, with_changes
from latentfields.files import read_json
from latentfields.igae.config import IgaeRunConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.lrf.correspondences.files import load_correspondences
from latentfields.lrf.decoder.config import DecoderRunConfig
from latentfields.lrf.encoder.config import EncoderRunConfig
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.meshes import normalised
from latentfields.scenes.readers.colmap.tracks import read_tracks
from latentfields.scenes.scene import Scene
from latentfields.training.loop import LoopConfig, read_log, train
from latentfields.training.runs import read_run

STORED = Path(__file__).parents[1] / "stored"


@dataclass(frozen=True)
class Kind:
    """One kind of input."""

    write: Callable[[Path], object]
    """Write a good one into an empty folder."""
    read: Callable[[Path], object]
    """Read it, as commands do."""
    damaged: tuple[str, ...] = ("*",)
    """Patterns of the names of the files that are damaged."""


def _scene(layout: str, *damaged: str) -> Kind:
    return Kind(lambda folder: LAYOUTS[layout](folder), load_scene, damaged)


def _pictures(suffix: str, **options: object) -> Kind:
    """A scene of pictures of one format."""

    def write(folder: Path) -> None:
        views = layout_views()
        write_nerfstudio(folder, views)
        meta = json.loads((folder / "transforms.json").read_text())
        for frame in meta["frames"]:
            file = folder / frame["file_path"]
            picture = Image.open(file)
            file.unlink()
            frame["file_path"] = str(Path(frame["file_path"]).with_suffix(suffix))
            mode = "RGB" if suffix in (".jpg", ".bmp") else "RGBA"
            picture.convert(mode).save(folder / frame["file_path"], **options)  # type: ignore[arg-type]
        (folder / "transforms.json").write_text(json.dumps(meta))

    return Kind(write, load_scene, (f"*{suffix}",))


def _with_points(folder: Path) -> None:
    """A Nerfstudio folder with masks, lists of splits and sparse points, which PLY keeps in one of its encodings."""
    write_nerfstudio(folder, layout_views())
    meta = json.loads((folder / "transforms.json").read_text())
    for frame in meta["frames"]:
        mask = f"masks/{Path(frame['file_path']).name}"
        (folder / "masks").mkdir(exist_ok=True)
        Image.open(folder / frame["file_path"]).getchannel("A").save(folder / mask)
        frame["mask_path"] = mask
    names = [frame["file_path"] for frame in meta["frames"]]
    meta |= {"ply_file_path": "points.ply", "train_filenames": names[2:], "test_filenames": names[:2]}
    (folder / "transforms.json").write_text(json.dumps(meta))
    points = sphere_points(40)
    record = np.dtype([*((axis, "<f4") for axis in "xyz"), *((c, "u1") for c in ("red", "green", "blue"))])
    rows = np.zeros(len(points.positions), record)
    for index, axis in enumerate("xyz"):
        rows[axis] = points.positions[:, index]
    properties = "".join(f"property {'float' if n in 'xyz' else 'uchar'} {n}\n" for n in record.names or ())
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    (folder / "points.ply").write_bytes(head.encode() + rows.tobytes())


def _tracks(folder: Path) -> None:
    """A binary sparse model whose images see a point."""
    LAYOUTS["colmap-sparse-0"](folder)
    file = folder / "sparse" / "0" / "images.bin"
    file.write_bytes(file.read_bytes().replace(struct.pack("<q", -1), struct.pack("<q", 12)))


def _mesh(suffix: str) -> Kind:
    def write(folder: Path) -> None:
        mesh = trimesh.creation.icosphere(subdivisions=1)
        if suffix in (".glb", ".gltf", ".obj"):
            picture = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
            uv = np.random.default_rng(0).random((len(mesh.vertices), 2))
            material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
            mesh.visual = trimesh.visual.TextureVisuals(
                uv=uv, material=material if suffix != ".obj" else material.to_simple()
            )
        elif suffix == ".ply":
            mesh.visual.vertex_colors = np.random.default_rng(0).integers(
                0, 255, (len(mesh.vertices), 4), np.uint8
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if suffix == ".gltf":
                for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
                    (folder / ("mesh.gltf" if name.endswith(".gltf") else name)).write_bytes(data)
            else:
                mesh.export(folder / f"mesh{suffix}")

    return Kind(write, lambda folder: normalised(load_mesh(folder / f"mesh{suffix}"), radius=1.0))


def _text_ply(folder: Path) -> None:
    mesh = trimesh.creation.box()
    (folder / "mesh.ply").write_bytes(trimesh.exchange.ply.export_ply(mesh, encoding="ascii"))


def _stored(name: str) -> Callable[[Path], object]:
    """Write a copy of what is stored under a name: a folder's contents, or a file as `file.safetensors`."""
    if (STORED / name).is_file():
        return lambda folder: shutil.copyfile(STORED / name, folder / "file.safetensors")
    return lambda folder: shutil.copytree(STORED / name, folder, dirs_exist_ok=True)


def _load_run(path: Path) -> Run:
    return Run.load(path, device="cpu")


def _run(name: str) -> Kind:
    return Kind(_stored(f"runs/{name}"), _load_run, ("config.json", "model.safetensors", "decoder/*"))


def _training(name: str, config: type) -> Kind:
    return Kind(_stored(f"trainings/{name}"), lambda folder: read_run(config, folder), ("config.json",))


def _diffusers(folder: Path) -> None:
    library: Any = importlib.import_module("diffusers")

    torch.manual_seed(0)
    model = library.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    model.save_pretrained(folder, safe_serialization=True)


@functools.cache
def _sphere() -> Scene:
    return load_scene(STORED / "scenes" / "sphere")


@functools.cache
def _patches() -> Autoencoder:
    return load_autoencoder(STORED / "autoencoders" / "patch")


def _checkpoint(config: FitConfig) -> Kind:
    """The state of a fit that has done all steps: to go on from it is to read it, and to do what it lacks."""

    def read(folder: Path) -> None:
        with torch.random.fork_rng(devices=[]):
            trainer = LatentNerfTrainer(new_model(_sphere(), _patches().clone(), config), _sphere(), config)
            train(trainer, steps=trainer.total_steps, folder=folder / "run", label="", options=LoopConfig())

    def write(folder: Path) -> None:
        fit(_sphere(), _patches(), out=folder / "run", config=config, device="cpu")

    return Kind(write, read, ("checkpoint.safetensors",))


def _camera_path(folder: Path) -> None:
    keyframe = Keyframe(position=(0.0, 1.0, 2.0), wxyz=(1.0, 0.0, 0.0, 0.0), fov=0.8)
    save_path(folder / "path.json", CameraPath((keyframe, replace(keyframe, fov=1.0))))


def _read_camera_path(folder: Path) -> None:
    load_path(folder / "path.json").cameras(width=16, height=16)


def _settings(folder: Path) -> None:
    (folder / "settings.json").write_text(json.dumps(to_json(preset("kplanes"))))


def _read_settings(folder: Path) -> None:
    file = folder / "settings.json"
    with_changes(preset("kplanes"), read_json(file), source=file).check()


KINDS: Mapping[str, Kind] = {
    "blender": _scene("blender", "*.json"),
    "igae": _scene("igae", "*.json"),
    "nerfstudio": Kind(_with_points, load_scene, ("transforms.json",)),
    "points": Kind(_with_points, load_scene, ("points.ply",)),
    "depth-maps": Kind(_stored("scenes/corner"), load_scene),
    "masks": Kind(_with_points, load_scene, ("masks/*",)),
    "png": _pictures(".png"),
    "jpeg": _pictures(".jpg", quality=80),
    "webp": _pictures(".webp"),
    "tiff": _pictures(".tif"),
    "bmp": _pictures(".bmp"),
    "colmap-binary": _scene("colmap-sparse-0", "*.bin"),
    "colmap-text": _scene("colmap-sparse", "*.txt"),
    "tracks-binary": Kind(_tracks, lambda folder: read_tracks(folder / "sparse" / "0"), ("*.bin",)),
    "tracks-text": replace(
        _scene("colmap-sparse", "*.txt"), read=lambda folder: read_tracks(folder / "sparse")
    ),
    "mesh-glb": _mesh(".glb"),
    "mesh-gltf": _mesh(".gltf"),
    "mesh-obj": _mesh(".obj"),
    "mesh-ply": _mesh(".ply"),
    "mesh-ply-text": Kind(_text_ply, lambda folder: normalised(load_mesh(folder / "mesh.ply"), radius=1.0)),
    "mesh-stl": _mesh(".stl"),
    **{
        f"run-{name}": _run(name)
        for name in (
            "gaussians",
            "instant-ngp",
            "kplanes",
            "older-kplanes",
            "proposal",
            "rgb",
            "tensorf",
            "vanilla",
        )
    },
    "scene-file": Kind(
        _stored("files/proposal.safetensors"),
        lambda folder: Run.load(folder / "file.safetensors", device="cpu"),
    ),
    "scene-file-rgb": Kind(
        _stored("files/rgb.safetensors"), lambda folder: Run.load(folder / "file.safetensors", device="cpu")
    ),
    "autoencoder": Kind(_stored("autoencoders/patch"), load_autoencoder),
    "autoencoder-variational": Kind(_stored("autoencoders/variational"), load_autoencoder),
    "autoencoder-diffusers": Kind(_diffusers, load_autoencoder),
    "correspondences": Kind(
        _stored("correspondences/corner.safetensors"),
        lambda folder: load_correspondences(folder / "file.safetensors"),
    ),
    "training-autoencoder": _training("autoencoder", AutoencoderRunConfig),
    "training-igae": _training("finetune-3d", IgaeRunConfig),
    "training-encoder": _training("finetune-encoder", EncoderRunConfig),
    "training-decoder": _training("align-decoder", DecoderRunConfig),
    "metrics": Kind(_stored("runs/kplanes"), read_metrics, ("metrics.json",)),
    "log": Kind(_stored("runs/kplanes"), read_log, ("log.jsonl",)),
    "checkpoint-nerf": _checkpoint(TINY_FIT),
    "checkpoint-gaussians": _checkpoint(TINY_GAUSSIANS),
    "camera-path": Kind(_camera_path, _read_camera_path),
    "settings": Kind(_settings, _read_settings),
}
"""Every kind of input, by name."""
