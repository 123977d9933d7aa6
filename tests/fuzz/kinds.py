"""Every kind of input: how a good one is written, which of its files are damaged, and what reads it."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import struct
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image

from helpers.collections_data import COLLECTION
from helpers.priors import TINY_PRIOR
from helpers.scene_files import (
    SphereViews,
    ring_cameras,
    sphere_points,
    sphere_views,
    write_blender,
    write_colmap_binary,
    write_colmap_text,
    write_igae,
    write_nerfstudio,
)
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.config import AutoencoderRunConfig
from latentfields.autoencoders.image_data import read_photo
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.fields import FieldsStudyConfig
from latentfields.bench.study import Work, Workplace
from latentfields.camera_path import CameraPath, Keyframe, load_path, save_path
from latentfields.config.checks import check_stored
from latentfields.config.typed_json import from_json, to_json, with_changes
from latentfields.correspondences.files import load_correspondences
from latentfields.errors import InputError
from latentfields.files import read_json
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.fit import fit_collection
from latentfields.igae.config import IgaeRunConfig
from latentfields.igae.image_cache import cache_photos, cache_scenes
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.lrf.decoder.config import DecoderRunConfig
from latentfields.lrf.encoder.config import EncoderRunConfig
from latentfields.priors.config import PriorRunConfig
from latentfields.priors.data import PriorData, load_data
from latentfields.priors.prior import load_prior
from latentfields.priors.train import new_prior
from latentfields.scenes.images import image_orientation, read_image, read_mask
from latentfields.scenes.load import load_scene, scene_folders
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.meshes import normalised
from latentfields.scenes.objects.texture_files import TextureReader
from latentfields.scenes.readers.colmap.tracks import read_tracks
from latentfields.scenes.readers.point_cloud import read_ply
from latentfields.scenes.reading import WHITE
from latentfields.scenes.scene import Scene
from latentfields.scenes.shards import writing_shard
from latentfields.training.checkpoint import load_tensors, save_tensors
from latentfields.training.loop import LoopConfig, read_log, train
from latentfields.training.runs import read_run
from latentfields.training.workers import Inline

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
    share: int = 4
    """Cases of it among those of all kinds, in proportion; large where a case takes little time."""
    writes: bool = False
    """Reading goes on with what is in the folder, and writes there."""


def _views(*, alpha: bool) -> SphereViews:
    """A few small views that every layout can describe; of those with alpha, the object's box has to be searched."""
    count, size = (2, 8) if alpha else (3, 8)
    cameras = ring_cameras(count, width=size, height=size, focal=10.0)
    views = sphere_views(
        replace(
            cameras,
            focal=cameras.focal[:, :1].repeat(1, 2),
            principal=torch.full((count, 2), size / 2, dtype=torch.float64),
        )
    )
    return views if alpha else replace(views, rgba=views.rgba[..., :3])


def _scene(write: Callable[[Path, SphereViews], object], *damaged: str, alpha: bool = False) -> Kind:
    return Kind(
        lambda folder: write(folder, _views(alpha=alpha)), load_scene, damaged, share=1 if alpha else 4
    )


def _blender(folder: Path, views: SphereViews) -> None:
    write_blender(folder, views, parts={"train": slice(0, len(views.names) - 1), "test": slice(-1, None)})


def _pictures(suffix: str, **options: object) -> Kind:
    """A scene of pictures of one format."""

    def write(folder: Path) -> None:
        views = _views(alpha=False)
        write_nerfstudio(folder, views)
        meta = json.loads((folder / "transforms.json").read_text())
        for frame in meta["frames"]:
            file = folder / frame["file_path"]
            picture = Image.open(file)
            file.unlink()
            frame["file_path"] = str(Path(frame["file_path"]).with_suffix(suffix))
            picture.save(folder / frame["file_path"], **options)  # type: ignore[arg-type]
        (folder / "transforms.json").write_text(json.dumps(meta))

    return Kind(write, load_scene, (f"*{suffix}",), share=2)


def _picture(suffix: str, **options: object) -> Kind:
    """One picture, read as every part of the package reads pictures."""

    def write(folder: Path) -> None:
        values = np.random.default_rng(0).integers(0, 256, (9, 7, 4), np.uint8)
        mode = "RGB" if suffix in (".jpg", ".bmp") else "RGBA"
        Image.fromarray(values).convert(mode).save(folder / f"picture{suffix}", **options)  # type: ignore[arg-type]

    def read(folder: Path) -> None:
        file = folder / f"picture{suffix}"
        image_orientation(file)
        read_image(file, upright=True)
        read_mask(file)
        read_photo(file)
        TextureReader(file).from_file(file.name)

    return Kind(write, read, share=10)


def _with_points(folder: Path) -> None:
    """A Nerfstudio folder with masks, lists of splits and sparse points, which PLY keeps in one of its encodings."""
    write_nerfstudio(folder, _views(alpha=True))
    meta = json.loads((folder / "transforms.json").read_text())
    for frame in meta["frames"]:
        mask = f"masks/{Path(frame['file_path']).name}"
        (folder / "masks").mkdir(exist_ok=True)
        Image.open(folder / frame["file_path"]).getchannel("A").save(folder / mask)
        frame["mask_path"] = mask
    names = [frame["file_path"] for frame in meta["frames"]]
    meta |= {"ply_file_path": "points.ply", "train_filenames": names[1:], "test_filenames": names[:1]}
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
    write_colmap_binary(folder, _views(alpha=False), sphere_points(12))
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

    return Kind(write, lambda folder: normalised(load_mesh(folder / f"mesh{suffix}"), radius=1.0), share=8)


def _text_ply(folder: Path) -> None:
    mesh = trimesh.creation.box()
    (folder / "mesh.ply").write_bytes(trimesh.exchange.ply.export_ply(mesh, encoding="ascii"))


def _stored(name: str, called: str = "file.safetensors") -> Callable[[Path], object]:
    """Write a copy of what is stored under a name: a folder's contents, or a file as `called`."""
    if (STORED / name).is_file():
        return lambda folder: shutil.copyfile(STORED / name, folder / called)
    return lambda folder: shutil.copytree(STORED / name, folder, dirs_exist_ok=True)


def _load_run(path: Path) -> Run:
    return Run.load(path, device="cpu")


def _load_file(folder: Path) -> Run:
    return _load_run(folder / "file.safetensors")


def _run(name: str) -> Kind:
    files = ("config.json", "model.safetensors", "decoder/*")

    def write(folder: Path) -> None:
        for pattern in files:
            for file in (STORED / "runs" / name).glob(pattern):
                copy = folder / file.relative_to(STORED / "runs" / name)
                copy.parent.mkdir(exist_ok=True)
                shutil.copyfile(file, copy)

    return Kind(write, _load_run, share=2)


def _training(name: str, config: type) -> Kind:
    def write(folder: Path) -> None:
        shutil.copyfile(STORED / "trainings" / name / "config.json", folder / "config.json")

    return Kind(write, lambda folder: read_run(config, folder), share=10)


def _header(folder: Path) -> None:
    """A safetensors file of a few small tensors: most of what can be damaged is its header."""
    tensors = {
        "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "half": torch.ones(2, dtype=torch.float16),
        "count": torch.tensor(3),
        "mask": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 4),
    }
    save_tensors(folder / "file.safetensors", tensors, {"loop": {"step": 3}, "names": ["a", "b"]})


def _photographs(folder: Path) -> None:
    for index, suffix in enumerate((".png", ".jpg", ".webp")):
        values = np.random.default_rng(index).integers(0, 256, (9, 8, 3), np.uint8)
        Image.fromarray(values).save(folder / f"photo-{index}{suffix}")


def _read_photographs(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        cache_photos([folder], size=8, cache=Path(cache))


def _image_cache(folder: Path) -> None:
    """What `finetune-3d` keeps of its scenes and photographs in a run's folder."""
    _read_image_cache(folder)


def _read_image_cache(folder: Path) -> None:
    sphere = STORED / "scenes" / "sphere"
    views = cache_scenes([sphere], size=8, background=WHITE, grid_resolution=4, cache=folder)
    photos = cache_photos([STORED / "photos"], size=8, cache=folder)
    views.images(torch.cat([*views.train, *views.held_out]))
    photos.train.batch(photos=2, renders=0, generator=torch.Generator().manual_seed(0))


class _Finished(Workplace):
    """Where nothing is computed."""

    def run(self, cells: Mapping[str, Work], *, label: str) -> dict[str, dict[str, Any]]:
        """As `Workplace.run`. Raises InputError when a cell is not finished."""
        for name in cells:
            if not (self.out / "cells" / f"{name}.json").exists():
                raise InputError(self.out, "is not finished")
        return super().run(cells, label=label)


def _cells(folder: Path) -> None:
    """A study whose cells are all done."""
    for name in ("config.json", "cells"):
        source = STORED / "bench" / "fields" / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)


def _read_cells(folder: Path) -> None:
    source = folder / "config.json"
    study = from_json(FieldsStudyConfig, read_json(source), source=source)
    check_stored(study, source)
    study.all_tables(study.rows(study.measure(_Finished(folder, Inline(), "cpu"))))


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

    return Kind(write, read, ("checkpoint.safetensors",), share=1, writes=True)


def _prior_data(folder: Path) -> PriorData:
    """The encoded views that a training of a prior keeps."""
    return load_data(
        [STORED / "scenes" / "sphere"], _patches(), TINY_PRIOR, cache=folder / "views.safetensors"
    )


def _prior(folder: Path) -> None:
    run = PriorRunConfig(scenes=(), autoencoder="patch", seconds=None, training=TINY_PRIOR)
    data = _prior_data(folder)
    (folder / "views.safetensors").unlink()
    new_prior(run, data, "space").save(folder)


def _collection(folder: Path) -> None:
    mugs, patch = STORED / "scenes" / "mugs", STORED / "autoencoders" / "patch"
    fit_collection(mugs, autoencoder=patch, out=folder, training=COLLECTION, device="cpu")
    (folder / "report.html").unlink()


def _read_collection(folder: Path) -> None:
    collection = Collection.open(folder, device="cpu")
    names = collection.names()
    collection.weights(names)
    for name in names:
        run = collection.run(name)
    run.render(collection.views().cameras[:1])


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


def _shard(folder: Path) -> None:
    """A scene in a shard, and the index of it."""
    write_nerfstudio(folder / "work", _views(alpha=False))
    with writing_shard(folder / "shard.tar") as shard:
        shard.add("scene", folder / "work")
    shutil.rmtree(folder / "work")


def _read_shard(folder: Path) -> None:
    for scene in scene_folders(sorted(folder.glob("*.tar")) or [folder]):
        load_scene(scene)


KINDS: Mapping[str, Kind] = {
    "blender": _scene(_blender, "*.json"),
    "blender-alpha": _scene(_blender, "*.json", alpha=True),
    "igae": _scene(write_igae, "*.json"),
    "igae-alpha": _scene(write_igae, "*.json", alpha=True),
    "nerfstudio": _scene(write_nerfstudio, "*.json"),
    "nerfstudio-masks": Kind(_with_points, load_scene, ("transforms.json",), share=1),
    "shard": Kind(_shard, _read_shard, ("*.tar",), share=2),
    "shard-index": Kind(_shard, _read_shard, ("*.json",), share=2),
    "points": Kind(_with_points, load_scene, ("points.ply",), share=1),
    "points-alone": Kind(
        _with_points, lambda folder: read_ply(folder / "points.ply"), ("points.ply",), share=10
    ),
    "depth-maps": Kind(_stored("scenes/corner"), load_scene),
    "masks": Kind(_with_points, load_scene, ("masks/*",), share=1),
    "colmap-binary": _scene(
        lambda folder, views: write_colmap_binary(folder, views, sphere_points(12)), "*.bin"
    ),
    "colmap-text": _scene(lambda folder, views: write_colmap_text(folder, views, sphere_points(12)), "*.txt"),
    "tracks-binary": Kind(_tracks, lambda folder: read_tracks(folder / "sparse" / "0"), ("*.bin",), share=10),
    "tracks-text": Kind(
        lambda folder: write_colmap_text(folder, _views(alpha=False), sphere_points(12)),
        lambda folder: read_tracks(folder / "sparse"),
        ("*.txt",),
        share=10,
    ),
    "scene-of-png": _pictures(".png"),
    "scene-of-jpeg": _pictures(".jpg", quality=80),
    "scene-of-webp": _pictures(".webp"),
    "scene-of-tiff": _pictures(".tif"),
    "scene-of-bmp": _pictures(".bmp"),
    "png": _picture(".png"),
    "jpeg": _picture(".jpg", quality=80),
    "webp": _picture(".webp"),
    "tiff": _picture(".tif"),
    "bmp": _picture(".bmp"),
    "photographs": Kind(_photographs, _read_photographs),
    "mesh-glb": _mesh(".glb"),
    "mesh-gltf": _mesh(".gltf"),
    "mesh-obj": _mesh(".obj"),
    "mesh-ply": _mesh(".ply"),
    "mesh-ply-text": Kind(
        _text_ply, lambda folder: normalised(load_mesh(folder / "mesh.ply"), radius=1.0), share=8
    ),
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
    "run-config": Kind(
        _stored("runs/tensorf/config.json", "config.json"),
        lambda folder: read_run(FitRunConfig, folder),
        share=10,
    ),
    "scene-file": Kind(_stored("files/proposal.safetensors"), _load_file, share=2),
    "scene-file-rgb": Kind(_stored("files/rgb.safetensors"), _load_file),
    "safetensors-header": Kind(_header, lambda folder: load_tensors(folder / "file.safetensors"), share=30),
    "autoencoder": Kind(_stored("autoencoders/patch"), load_autoencoder),
    "autoencoder-variational": Kind(_stored("autoencoders/variational"), load_autoencoder),
    "autoencoder-diffusers": Kind(_diffusers, load_autoencoder),
    "correspondences": Kind(
        _stored("correspondences/corner.safetensors"),
        lambda folder: load_correspondences(folder / "file.safetensors"),
        share=10,
    ),
    "training-autoencoder": _training("autoencoder", AutoencoderRunConfig),
    "training-igae": _training("finetune-3d", IgaeRunConfig),
    "training-encoder": _training("finetune-encoder", EncoderRunConfig),
    "training-decoder": _training("align-decoder", DecoderRunConfig),
    "prior": Kind(_prior, load_prior, share=2),
    "collection": Kind(
        _collection,
        _read_collection,
        ("config.json", "shared.safetensors", "views.safetensors", "mug-*.safetensors"),
        share=2,
    ),
    "prior-data": Kind(_prior_data, _prior_data, writes=True),
    "image-cache": Kind(_image_cache, _read_image_cache, writes=True),
    "cells": Kind(_cells, _read_cells),
    "metrics": Kind(_stored("runs/kplanes/metrics.json", "metrics.json"), read_metrics, share=10),
    "log": Kind(_stored("runs/kplanes/log.jsonl", "log.jsonl"), read_log, share=10),
    "checkpoint-nerf": _checkpoint(TINY_FIT),
    "checkpoint-gaussians": _checkpoint(TINY_GAUSSIANS),
    "camera-path": Kind(_camera_path, _read_camera_path, share=10),
    "settings": Kind(_settings, _read_settings, share=10),
}
"""Every kind of input, by name."""
