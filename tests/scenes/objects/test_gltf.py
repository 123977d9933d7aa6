"""glTF files against renderings of the same square whose colours and coordinates are written down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from helpers.gltf_files import CORNERS, UV, GlbWriter, png
from helpers.mesh_samples import camera_at
from latentfields.errors import InputError
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.objects.rendering import MeshRenderer
from latentfields.scenes.objects.textures import linear_to_srgb

COLOR = np.array([0.2, 0.05, 0.6, 1.0])
WHITE: dict[str, Any] = {"pbrMetallicRoughness": {"baseColorFactor": [1, 1, 1, 1]}}
BLACK: dict[str, Any] = {"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1]}}
PICTURE = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
"""No two texels are alike, so that every wrong place shows."""
LOWER_LEFT = UV * (1, -1) + (0, 1)
"""Texture coordinates of the corners as meshes have them."""


def shot(mesh: Mesh) -> NDArray[np.uint8]:
    (view,) = MeshRenderer(mesh).render(camera_at((0, 0, 3), size=48), samples=2)
    return view.rgba


def square(
    *,
    uv: NDArray[Any] | None = None,
    colors: NDArray[Any] | None = None,
    material: Material | None = None,
) -> Mesh:
    """What files are compared with."""
    return Mesh(
        name="known",
        vertices=CORNERS.astype(np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        normals=np.zeros((4, 3), np.float32),
        uv=(np.zeros((4, 2)) if uv is None else uv).astype(np.float32),
        colors=(np.ones((4, 4)) if colors is None else colors).astype(np.float32),
        material_of_face=np.zeros(2, np.int32),
        materials=(material or Material(),),
    )


def painted(picture: NDArray[np.uint8] = PICTURE) -> Material:
    return Material(texture=np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]))


def with_texture(texture: Mapping[str, Any]) -> dict[str, Any]:
    return {"pbrMetallicRoughness": {"baseColorTexture": dict(texture)}}


def assert_alike(path: Path, expected: Mesh, *, off_by: int = 1) -> None:
    found, known = shot(load_mesh(path, up="z")).astype(int), shot(expected).astype(int)
    assert known[..., 3].any()
    np.testing.assert_allclose(found, known, atol=off_by)


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<f4"])
@pytest.mark.parametrize("columns", [3, 4])
@pytest.mark.parametrize("material", [WHITE, None])
@pytest.mark.parametrize("normalized", [True, False])
def test_vertex_colours_of_every_width_look_alike(
    tmp_path: Path, dtype: str, columns: int, material: dict[str, Any] | None, normalized: bool
) -> None:
    top = 1.0 if dtype == "<f4" else float(np.iinfo(dtype).max)
    values = np.tile(COLOR[:columns] * top, (4, 1))
    stored = (values if top == 1 else values.round()).astype(dtype)
    file = GlbWriter()
    color = file.accessor(stored, normalized=normalized and top > 1)
    file.square({"COLOR_0": color}, materials=[] if material is None else [material])
    assert_alike(file.write(tmp_path / "m.glb"), square(colors=np.tile(COLOR, (4, 1))))


def test_alpha_of_16_bit_vertex_colours_counts(tmp_path: Path) -> None:
    half = np.tile([1, 1, 1, 0.5], (4, 1))
    for name, materials in (("plain", []), ("material", [{**WHITE, "alphaMode": "BLEND"}])):
        file = GlbWriter()
        colors = file.accessor((half * 65535).round().astype("<u2"), normalized=True)
        file.square({"COLOR_0": colors}, materials=materials)
        expected = square(colors=half, material=Material(alpha_mode="blend"))
        assert_alike(file.write(tmp_path / f"{name}.glb"), expected)


def test_vertex_colours_multiply_texture_and_factor(tmp_path: Path) -> None:
    file = GlbWriter()
    attributes = {
        "TEXCOORD_0": file.accessor(UV),
        "COLOR_0": file.accessor(np.tile(COLOR, (4, 1)).astype("<f4")),
    }
    material = with_texture({"index": file.image(png(PICTURE))})
    material["pbrMetallicRoughness"]["baseColorFactor"] = [0.5, 1, 0.25, 1]
    file.square(attributes, materials=[material])
    colors = np.tile(COLOR * [0.5, 1, 0.25, 1], (4, 1))
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=LOWER_LEFT, colors=colors, material=painted()))


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"offset": [0.25, 0.5]}, np.add(UV, [0.25, 0.5])),
        ({"scale": [0.5, 2]}, UV * [0.5, 2]),
        # A quarter turn, counter-clockwise as the picture is seen: u' = v, v' = -u.
        ({"rotation": np.pi / 2}, np.stack([UV[:, 1], -UV[:, 0]], axis=1)),
        (
            {"offset": [0.1, 0.2], "scale": [0.5, 0.25], "rotation": np.pi / 2},
            np.stack([0.25 * UV[:, 1] + 0.1, -0.5 * UV[:, 0] + 0.2], axis=1),
        ),
        ({}, UV),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_texture_transforms(
    tmp_path: Path, transform: dict[str, Any], expected: NDArray[Any], required: bool
) -> None:
    file = GlbWriter()
    info = {"index": file.image(png(PICTURE)), "extensions": {"KHR_texture_transform": transform}}
    file.square({"TEXCOORD_0": file.accessor(UV)}, materials=[with_texture(info)])
    file.json["extensionsUsed"] = ["KHR_texture_transform"]
    if required:
        file.json["extensionsRequired"] = ["KHR_texture_transform"]
    uv = expected * (1, -1) + (0, 1)
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=uv, material=painted()), off_by=2)


_AROUND = {None: "wrap", 10497: "wrap", 33648: "symmetric", 33071: "edge"}
"""What NumPy calls the ways in which samplers go on beyond a texture's sides."""


@pytest.mark.parametrize("across", _AROUND)
@pytest.mark.parametrize("down", _AROUND)
@pytest.mark.parametrize("glowing", [False, True])
def test_samplers_say_what_is_beside_a_texture(
    tmp_path: Path, across: int | None, down: int | None, glowing: bool
) -> None:
    small = PICTURE[:5, :6]
    file = GlbWriter()
    info = {"index": file.image(png(small))}
    ways = {"wrapS": across, "wrapT": down}
    file.json["samplers"] = [{"magFilter": 9729}, {name: way for name, way in ways.items() if way}]
    file.json["textures"][0]["sampler"] = 1
    # From one width before the texture to one behind it, and off its middle.
    uv = (3 * UV - (0.9, 1.2)).astype("<f4")
    material = with_texture(info)
    if glowing:
        material = {"emissiveFactor": [1, 1, 1], "emissiveTexture": info, **BLACK}
    file.square({"TEXCOORD_0": file.accessor(uv)}, materials=[material])
    rows: Any = [(10, 10), (0, 0), (0, 0)]
    columns: Any = [(0, 0), (12, 12), (0, 0)]
    around: Any = np.pad(np.pad(small, rows, _AROUND[down]), columns, _AROUND[across])  # type: ignore[call-overload]
    known = painted(around)
    if glowing:
        known = Material(color=(0, 0, 0, 1), emission=(1, 1, 1), emission_texture=known.texture)
    wide = (uv + 2) / 5 * (1, -1) + (0, 1)
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=wide, material=known), off_by=2)


@pytest.mark.parametrize(
    "info",
    [
        {"texCoord": 1},
        {"texCoord": 0, "extensions": {"KHR_texture_transform": {"texCoord": 1}}},
        {"texCoord": 1, "extensions": {"KHR_texture_transform": {}}},
    ],
)
def test_a_second_set_of_texture_coordinates(tmp_path: Path, info: dict[str, Any]) -> None:
    file = GlbWriter()
    attributes = {
        "TEXCOORD_0": file.accessor(np.full_like(UV, 0.5)),
        "TEXCOORD_1": file.accessor(UV),
    }
    material = with_texture({"index": file.image(png(PICTURE)), **info})
    file.square(attributes, materials=[material])
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=LOWER_LEFT, material=painted()))


def test_emission_has_coordinates_of_its_own(tmp_path: Path) -> None:
    file = GlbWriter()
    attributes = {"TEXCOORD_0": file.accessor(np.full_like(UV, 0.5)), "TEXCOORD_1": file.accessor(UV)}
    glow = {"index": file.image(png(PICTURE)), "texCoord": 1}
    file.square(attributes, materials=[{**BLACK, "emissiveFactor": [1, 1, 1], "emissiveTexture": glow}])
    texture = painted().texture
    known = Material(color=(0, 0, 0, 1), emission=(1, 1, 1), emission_texture=texture)
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=LOWER_LEFT, material=known))


@pytest.mark.parametrize("dtype", ["<u1", "<u2"])
def test_normalised_texture_coordinates(tmp_path: Path, dtype: str) -> None:
    file = GlbWriter()
    uv = file.accessor((UV * np.iinfo(dtype).max).astype(dtype), normalized=True, stride=4)
    file.square({"TEXCOORD_0": uv}, materials=[with_texture({"index": file.image(png(PICTURE))})])
    assert_alike(file.write(tmp_path / "m.glb"), square(uv=LOWER_LEFT, material=painted()))


@pytest.mark.parametrize(
    ("dtype", "normalized", "scale"), [("<i2", True, 1), ("<i1", True, 1), ("<i2", False, 1e-3)]
)
def test_quantised_positions(tmp_path: Path, dtype: str, normalized: bool, scale: float) -> None:
    top = np.iinfo(dtype).max if normalized else 1000
    file = GlbWriter()
    positions = file.accessor((CORNERS * top).astype(dtype), normalized=normalized, stride=8)
    color = file.accessor(np.tile(COLOR, (4, 1)).astype("<f4"))
    file.square({"POSITION": positions, "COLOR_0": color}, scale=[scale] * 3)
    file.json["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert_alike(file.write(tmp_path / "m.glb"), square(colors=np.tile(COLOR, (4, 1))))


def test_several_materials_of_a_mesh(tmp_path: Path) -> None:
    file = GlbWriter()
    plain = {"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}
    material = with_texture({"index": file.image(png(np.full((4, 4, 3), (0, 0, 255), np.uint8)))})
    file.square({"TEXCOORD_0": file.accessor(UV)}, materials=[plain, material])
    rgba = shot(load_mesh(file.write(tmp_path / "m.glb"), up="z"))
    seen = rgba[rgba[..., 3] == 255][:, :3]
    assert (seen[:, 1] == 0).all()
    # The square's halves; a pixel on the diagonal sees both.
    assert 0.4 < (seen[:, 2] == 0).mean() < 0.5
    assert 0.4 < (seen[:, 0] == 0).mean() < 0.5


def test_sparse_accessors_strips_and_fans(tmp_path: Path) -> None:
    colors = np.tile(COLOR, (4, 1)).astype("<f4")
    for mode, order in ((5, [0, 1, 3, 2]), (6, [0, 1, 2, 3])):
        file = GlbWriter()
        stored = colors.copy()
        stored[2] = 0
        color = file.accessor(stored)
        file.json["accessors"][color]["sparse"] = {
            "count": 1,
            "indices": {"bufferView": file.view(np.array([2], "<u2").tobytes()), "componentType": 5123},
            "values": {"bufferView": file.view(colors[2].tobytes())},
        }
        file.square({"COLOR_0": color}, faces=np.array(order, "<u2"))
        file.json["meshes"][0]["primitives"][0]["mode"] = mode
        assert_alike(file.write(tmp_path / "m.glb"), square(colors=colors))


def test_one_warning_names_every_missing_texture_once(tmp_path: Path) -> None:
    file = GlbWriter()
    ktx = file.image(b"\xabKTX 20\xbb\r\n\x1a\n" + b"\0" * 60, mimeType="image/ktx2", name="atlas")
    broken = file.image(b"no picture at all", name="broken")
    good = file.image(png(PICTURE), name="good")
    file.json["images"].append({"uri": "textures/gone%20away.png"})
    file.json["textures"].append({"source": 3})
    materials: list[dict[str, Any]] = [
        {**with_texture({"index": ktx}), "emissiveFactor": [1, 1, 1], "emissiveTexture": {"index": ktx}},
        with_texture({"index": broken}),
        with_texture({"index": good}),
        with_texture({"index": 3}),
    ]
    file.square(
        {"TEXCOORD_0": file.accessor(UV)},
        materials=materials,
        faces=np.array([0, 1, 2, 0, 2, 3] * 2, "<u2"),
    )
    with pytest.warns(UserWarning, match="its textures could not be read") as caught:
        load_mesh(file.write(tmp_path / "m.glb"))
    (warning,) = caught
    text = str(warning.message)
    for name in ("atlas (KTX2", "broken (no picture", "gone%20away.png (no such file"):
        assert text.count(name) == 1, text
    assert "good" not in text


def test_a_texture_beside_ktx2_is_taken(tmp_path: Path) -> None:
    for first in (True, False):
        file = GlbWriter()
        file.image(b"\xabKTX 20\xbb\r\n\x1a\n" + b"\0" * 60, mimeType="image/ktx2")
        file.image(png(PICTURE))
        plain, compressed = (1, 0) if first else (0, 1)
        file.json["textures"] = [
            {"source": plain, "extensions": {"KHR_texture_basisu": {"source": compressed}}}
        ]
        file.square({"TEXCOORD_0": file.accessor(UV)}, materials=[with_texture({"index": 0})])
        assert_alike(file.write(tmp_path / "m.glb"), square(uv=LOWER_LEFT, material=painted()))


def test_compression_is_named(tmp_path: Path) -> None:
    file = GlbWriter()
    file.square()
    (primitive,) = file.json["meshes"][0]["primitives"]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    # Arrays beside the compressed ones are read.
    assert len(load_mesh(file.write(tmp_path / "both.glb")).faces) == 2
    for accessor in file.json["accessors"]:
        del accessor["bufferView"]
    with pytest.raises(InputError, match=r"draco\.glb: .*KHR_draco_mesh_compression"):
        load_mesh(file.write(tmp_path / "draco.glb"))

    file = GlbWriter()
    file.square()
    view = file.json["bufferViews"][0]
    view |= {"buffer": 1, "extensions": {"EXT_meshopt_compression": {"buffer": 0}}}
    path = file.write(tmp_path / "meshopt.glb")
    # A second buffer without content, as the extension has it.
    text = path.read_bytes().replace(b'"buffers": [{', b'"buffers": [{"byteLength": 9}, {')
    path.with_suffix(".gltf").write_bytes(text[20 : 20 + int.from_bytes(text[12:16], "little") + 19])
    with pytest.raises(InputError, match="EXT_meshopt_compression"):
        load_mesh(path.with_suffix(".gltf"))


def test_an_unknown_required_extension_is_named_once(tmp_path: Path) -> None:
    file = GlbWriter()
    file.square()
    file.square(translation=[0, 0, 1])
    file.json["extensionsRequired"] = ["EXT_mesh_gpu_instancing", "KHR_texture_transform"]
    with pytest.warns(UserWarning, match="requires EXT_mesh_gpu_instancing, which is not read") as caught:
        load_mesh(file.write(tmp_path / "m.glb"))
    assert len(caught) == 1


def test_nodes_are_turned_moved_and_scaled(tmp_path: Path) -> None:
    file = GlbWriter()
    turn = [0, 0, np.sin(np.pi / 4), np.cos(np.pi / 4)]
    file.square(rotation=turn, scale=[2, 1, 1], translation=[0, 0, 5])
    found = load_mesh(file.write(tmp_path / "m.glb"), up="z").vertices
    np.testing.assert_allclose(found, [[1, -2, 5], [1, 2, 5], [-1, 2, 5], [-1, -2, 5]], atol=1e-6)


def test_old_glossy_materials_keep_their_diffuse_colour(tmp_path: Path) -> None:
    file = GlbWriter()
    glossy = {"diffuseFactor": COLOR.tolist(), "specularFactor": [0, 0, 0], "glossinessFactor": 0}
    material = {"extensions": {"KHR_materials_pbrSpecularGlossiness": glossy}}
    file.square(materials=[material])
    assert_alike(file.write(tmp_path / "m.glb"), square(colors=np.tile(COLOR, (4, 1))), off_by=3)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file["accessors"][0].update(count=10**9),
        lambda file: file["accessors"][1].update(componentType=5126),
        lambda file: file["bufferViews"][0].update(byteLength=10**9),
        lambda file: file["nodes"][0].update(children=[0]),
        lambda file: file["nodes"][0].update(mesh=7),
        lambda file: file["nodes"][0].update(rotation=[0, 0]),
        lambda file: file.pop("accessors"),
        lambda file: file["meshes"][0].update(primitives=None),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, spoil: Any) -> None:
    file = GlbWriter()
    file.square()
    spoil(file.json)
    with pytest.raises(InputError, match=r"m\.glb"):
        load_mesh(file.write(tmp_path / "m.glb"))


def test_a_gltf_with_files_beside_it(tmp_path: Path) -> None:
    file = GlbWriter()
    image = file.image(png(PICTURE))
    file.square({"TEXCOORD_0": file.accessor(UV)}, materials=[with_texture({"index": image})])
    content = file.write(tmp_path / "m.glb").read_bytes()
    length = int.from_bytes(content[12:16], "little")
    about = json.loads(content[20 : 20 + length])
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder" / "data.bin").write_bytes(content[28 + length :])
    (tmp_path / "a folder" / "skin.png").write_bytes(png(PICTURE))
    about["buffers"][0]["uri"] = "a%20folder/data.bin"
    for uri in ("a%20folder/skin.png", "a folder\\skin.png"):
        about["images"] = [{"uri": uri}]
        (tmp_path / "m.gltf").write_text(json.dumps(about))
        assert_alike(tmp_path / "m.gltf", square(uv=LOWER_LEFT, material=painted()))


def test_the_known_colour_itself() -> None:
    # Light from above on a level square: the sky, and the key light at its angle.
    rgba = shot(square(colors=np.tile(COLOR, (4, 1))))
    light = 0.52 + 0.5 * 0.67 / np.sqrt(0.46**2 + 0.58**2 + 0.67**2)
    np.testing.assert_allclose(rgba[24, 24, :3], linear_to_srgb(COLOR[:3] * light) * 255, atol=1)
