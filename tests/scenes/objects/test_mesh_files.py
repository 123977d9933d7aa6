import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from latentfields.errors import InputError
from latentfields.scenes.objects import meshes
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.meshes import Mesh, normalised
from latentfields.scenes.objects.textures import srgb_to_linear

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 2 0\nf 1 2 3\n"

WriteObj = Callable[..., Path]


@pytest.fixture
def obj(tmp_path: Path) -> WriteObj:
    def write(text: str, name: str = "mesh.obj") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def textured_obj(folder: Path, texture_path: str) -> Path:
    """An OBJ whose material names its texture relative to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.mtl").write_text(f"newmtl paint\nKd 0 0 0\nmap_Kd {texture_path}\n")
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
    (folder / "m.obj").write_text(f"mtllib m.mtl\n{corners}usemtl paint\nf 1/1 2/2 3/3\n")
    return folder / "m.obj"


def gltf(tmp_path: Path, **material: object) -> Mesh:
    mesh = trimesh.creation.box()
    mesh.visual = trimesh.visual.TextureVisuals(
        uv=np.zeros((len(mesh.vertices), 2)), material=trimesh.visual.material.PBRMaterial(**material)
    )
    path = tmp_path / "mesh.glb"
    mesh.export(path)
    return load_mesh(path)


def test_y_up_files_are_turned_to_z_up(obj: WriteObj) -> None:
    path = obj(TRIANGLE)
    np.testing.assert_allclose(load_mesh(path).vertices, [[0, 0, 0], [1, 0, 0], [0, 0, 2]], atol=1e-12)
    np.testing.assert_allclose(load_mesh(path, up="z").vertices, [[0, 0, 0], [1, 0, 0], [0, 2, 0]])


def test_nodes_are_placed_by_their_transforms(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box(extents=(1, 1, 1))
    scene.add_geometry(box)
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((5, 0, 0)))
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert len(mesh.faces) == 24
    assert mesh.vertices[:, 0].max() == pytest.approx(5.5)
    assert len(mesh.materials) == 2


def test_normals_follow_stretched_transforms(tmp_path: Path) -> None:
    # A unit sphere stretched along x: its normals must be those of the ellipsoid.
    ball = trimesh.creation.icosphere(subdivisions=2)
    scene = trimesh.Scene()
    scene.add_geometry(
        trimesh.Trimesh(ball.vertices, ball.faces, vertex_normals=ball.vertices, process=False),
        transform=np.diag([3.0, 1.0, 1.0, 1.0]),
    )
    scene.export(tmp_path / "egg.glb", include_normals=True)
    mesh = load_mesh(tmp_path / "egg.glb")
    gradient = mesh.vertices / np.array([9.0, 1.0, 1.0])
    expected = gradient / np.linalg.norm(gradient, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.normals, expected, atol=1e-5)


def test_textures_in_a_sibling_folder_are_found(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "skin.png")
    mesh = load_mesh(textured_obj(tmp_path / "models", "../images/skin.png"))
    texture = mesh.materials[0].texture
    assert texture is not None
    np.testing.assert_array_equal(texture[..., :3], pixels)
    # The black Kd of the file must not darken the texture.
    assert mesh.materials[0].color == (1, 1, 1, 1)


def test_a_texture_that_is_missing_is_warned_about(tmp_path: Path) -> None:
    path = textured_obj(tmp_path, "nowhere.png")
    with pytest.warns(UserWarning, match="its textures could not be read"):
        load_mesh(path)
    (tmp_path / "m.mtl").unlink()
    with pytest.warns(UserWarning, match="its textures could not be read"):
        mesh = load_mesh(path)
    assert mesh.materials[0].texture is None


def test_gltf_materials(tmp_path: Path) -> None:
    texture = Image.fromarray(np.full((2, 2, 4), 200, np.uint8))
    mesh = gltf(
        tmp_path,
        baseColorFactor=[255, 128, 0, 51],
        baseColorTexture=texture,
        alphaMode="MASK",
        alphaCutoff=0.25,
        emissiveFactor=[0.5, 0.0, 1.0],
    )
    (material,) = mesh.materials
    np.testing.assert_allclose(material.color, [1, 128 / 255, 0, 0.2], atol=1e-6)
    assert (material.alpha_mode, material.alpha_cutoff) == ("mask", 0.25)
    assert material.emission == (0.5, 0.0, 1.0)
    assert material.texture is not None
    assert (material.texture == 200).all()


def test_ply_vertex_colours_are_taken_as_srgb(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    colors = np.array([[255, 0, 0, 255], [0, 128, 0, 255], [0, 0, 64, 255]], np.uint8)
    trimesh.Trimesh(np.eye(3), [[0, 1, 2]], vertex_colors=colors, process=False).export(path)
    np.testing.assert_allclose(load_mesh(path).colors[:, :3], srgb_to_linear(colors[:, :3] / 255), atol=1e-6)


SQUARE = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0))


def write_ply(
    path: Path, kind: str, colors: NDArray[np.float64], *, uv: bool = False, header: str = ""
) -> Path:
    """A square whose vertices have colours of the type `kind`."""
    names = ("red", "green", "blue", "alpha")[: colors.shape[1]]
    properties = "".join(f"property {kind} {name}\n" for name in names)
    if uv:
        properties += "property float s\nproperty float t\n"
    rows = [
        " ".join(
            map(
                str,
                [
                    *corner,
                    *(color if kind in ("float", "double") else color.astype(int)),
                    *(corner[:2] if uv else ()),
                ],
            )
        )
        for corner, color in zip(SQUARE, colors, strict=True)
    ]
    path.write_text(
        f"ply\nformat ascii 1.0\n{header}element vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        f"{properties}element face 2\nproperty list uchar int vertex_indices\nend_header\n"
        + "\n".join([*rows, "3 0 1 2", "3 0 2 3"])
        + "\n"
    )
    return path


@pytest.mark.parametrize(
    ("kind", "top"),
    [("uchar", 255), ("ushort", 65535), ("int", 255), ("float", 1), ("float", 255), ("double", 1)],
)
@pytest.mark.parametrize("columns", [3, 4])
def test_ply_vertex_colours_of_every_type(tmp_path: Path, kind: str, top: float, columns: int) -> None:
    shares = np.tile([0.2, 0.4, 0.8, 0.6][:columns], (4, 1))
    shares[0] = 1
    mesh = load_mesh(write_ply(tmp_path / "m.ply", kind, shares * top))
    np.testing.assert_allclose(mesh.colors[:, :3], srgb_to_linear(shares[:, :3]), atol=1e-6)
    if columns == 4:
        np.testing.assert_allclose(mesh.colors[:, 3], shares[:, 3], atol=1e-6)
        assert mesh.materials[0].alpha_mode == "blend"


@pytest.mark.parametrize("names", [("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue")])
def test_ply_colours_of_other_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    colors = "".join(f"property uchar {name}\n" for name in names)
    (tmp_path / "m.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        f"{colors}element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0 255 0 0\n1 0 0 255 0 0\n0 1 0 255 0 0\n3 0 1 2\n"
    )
    mesh = load_mesh(tmp_path / "m.ply", up="z")
    np.testing.assert_array_equal(mesh.colors, np.tile([1, 0, 0, 1], (3, 1)))
    assert mesh.materials[0].color == (1, 1, 1, 1)


@pytest.mark.parametrize("face", ["f 0 1 2", "f 1/1 2/2 0/1", "f 1 2 -0"])
def test_obj_vertices_count_from_one(obj: WriteObj, face: str) -> None:
    with pytest.raises(InputError, match="expected vertices from 1 on"):
        load_mesh(obj(f"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\n{face}\n"))


def test_ply_textures_multiply_vertex_colours_and_are_named_when_missing(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).uniform(size=(4, 3))
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my skin.png")
    header = "comment TextureFile my skin.png\n"
    mesh = load_mesh(write_ply(tmp_path / "m.ply", "float", shares, uv=True, header=header), up="z")
    texture = mesh.materials[0].texture
    assert texture is not None
    np.testing.assert_array_equal(texture[..., :3], pixels)
    # Vertices may have been given anew, in another order: colours and coordinates went with them.
    known = {corner: color for corner, color in zip(SQUARE, srgb_to_linear(shares), strict=True)}
    for vertex, uv, color in zip(mesh.vertices, mesh.uv, mesh.colors, strict=True):
        np.testing.assert_allclose(uv, vertex[:2])
        np.testing.assert_allclose(color[:3], known[tuple(vertex.astype(int).tolist())], atol=1e-6)
    (tmp_path / "my skin.png").unlink()
    with pytest.warns(UserWarning, match=r"its textures could not be read.*my skin\.png \(no such file\)"):
        load_mesh(tmp_path / "m.ply")


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize(
    "material", [None, "newmtl paint\nKd 0.5 0.5 1\n", "newmtl paint\nKd 0 0 0\nmap_Kd a.png\n"]
)
def test_obj_vertex_colours_beside_any_material(obj: WriteObj, top: float, material: str | None) -> None:
    shares = np.random.default_rng(0).uniform(size=(4, 3))
    shares[0] = 1
    lines = [
        f"v {x} {y} {z} {' '.join(map(str, color))}"
        for (x, y, z), color in zip(SQUARE, shares * top, strict=True)
    ]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vt 0 1"]
    lines += ["mtllib m.mtl", "usemtl paint"] if material else []
    lines += ["f 1/1 2/2 3/3", "f 1/1 3/3 4/4"]
    path = obj("\n".join(lines))
    if material:
        path.with_name("m.mtl").write_text(material)
        Image.fromarray(np.full((2, 2, 3), 128, np.uint8)).save(path.with_name("a.png"))
    mesh = load_mesh(path, up="z")
    known = {corner: color for corner, color in zip(SQUARE, srgb_to_linear(shares), strict=True)}
    for vertex, color in zip(mesh.vertices, mesh.colors, strict=True):
        np.testing.assert_allclose(color[:3], known[tuple(vertex.astype(int).tolist())], atol=1e-6)
    (found,) = mesh.materials
    assert (found.texture is not None) == (material is not None and "map_Kd" in material)
    assert found.color[2] == 1


def test_obj_parts_share_the_range_of_their_colours(obj: WriteObj) -> None:
    dark = "v 0 0 1 1 1 1\nv 1 0 1 1 1 1\nv 0 1 1 1 1 1\n"
    bright = "v 0 0 0 255 255 255\nv 1 0 0 255 255 255\nv 0 1 0 255 255 255\n"
    mesh = load_mesh(obj(f"{bright}{dark}o one\nf 1 2 3\no two\nf 4 5 6\n"), up="z")
    for vertex, color in zip(mesh.vertices, mesh.colors, strict=True):
        np.testing.assert_allclose(
            color[:3], srgb_to_linear(np.array(1 if vertex[2] == 0 else 1 / 255)), rtol=1e-5
        )


def test_several_materials_of_an_obj_and_options_of_their_textures(tmp_path: Path) -> None:
    (tmp_path / "a.mtl").write_text("newmtl red\nKd 1 0 0\n")
    (tmp_path / "b.mtl").write_text("newmtl skin\nmap_Kd -s 2 3 1 -o 0.5 0.25 -clamp on maps\\my skin.png\n")
    (tmp_path / "maps").mkdir()
    Image.fromarray(np.full((2, 2, 3), 128, np.uint8)).save(tmp_path / "maps" / "my skin.png")
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\n"
    (tmp_path / "m.obj").write_text(
        f"mtllib a.mtl b.mtl\n{corners}usemtl red\nf 1 2 3\nusemtl skin\nf 1/1 2/2 3/3\n"
    )
    mesh = load_mesh(tmp_path / "m.obj", up="z")
    textured = [material.texture is not None for material in mesh.materials]
    assert sorted(textured) == [False, True]
    number = textured.index(True)
    assert mesh.materials[1 - number].color == (1, 0, 0, 1)
    assert mesh.materials[number].wraps == ("clamp", "clamp")
    (face,) = mesh.faces[mesh.material_of_face == number]
    np.testing.assert_allclose(mesh.uv[face], mesh.vertices[face][:, :2] * [2, 3] + [0.5, 0.25])


def test_each_missing_texture_of_an_obj_is_named_once(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2, 3), 128, np.uint8)).save(tmp_path / "here.png")
    (tmp_path / "broken.jpg").write_bytes(b"not a picture")
    named = {"a": "gone.png", "b": "here.png", "c": "broken.jpg", "d": "gone.png", "unused": "other.png"}
    (tmp_path / "m.mtl").write_text(
        "".join(f"newmtl {name}\nmap_Kd {file}\n" for name, file in named.items())
    )
    faces = "".join(f"usemtl {name}\nf 1 2 3\n" for name in "abcd")
    (tmp_path / "m.obj").write_text(f"mtllib m.mtl\nmtllib lost.mtl\n{TRIANGLE}{faces}")
    with pytest.warns(UserWarning, match="its textures could not be read") as caught:
        load_mesh(tmp_path / "m.obj")
    (warning,) = caught
    text = str(warning.message)
    for name in ("gone.png", "broken.jpg", "lost.mtl"):
        assert text.count(name) == 1, text
    assert "here.png" not in text
    assert "other.png" not in text


def test_grey_textures_of_16_bits_keep_their_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 16).astype(np.uint16).reshape(4, 4)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    texture = load_mesh(textured_obj(tmp_path, "ramp.png")).materials[0].texture
    assert texture is not None
    np.testing.assert_allclose(texture[..., 0], ramp / 257, atol=1)


def test_face_colours_stay_on_their_faces(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    box.visual.face_colors = np.arange(12 * 4).reshape(12, 4).astype(np.uint8) + 100
    box.export(tmp_path / "mesh.ply")
    mesh = load_mesh(tmp_path / "mesh.ply")
    found = mesh.colors[mesh.faces]
    assert (found == found[:, :1]).all()
    assert len(np.unique(found[:, 0], axis=0)) == 12


def test_coordinates_far_from_the_origin_keep_their_detail(obj: WriteObj) -> None:
    x = 5_000_000
    mesh = normalised(load_mesh(obj(f"v {x} 0 0\nv {x}.01 0 0\nv {x} 0.02 0\nf 1 2 3\n")), radius=1.0)
    sides = np.linalg.norm(mesh.vertices[1:] - mesh.vertices[0], axis=1)
    assert sides[1] / sides[0] == pytest.approx(2, rel=1e-3)


def test_normalised_centres_the_box_and_scales_the_farthest_vertex(obj: WriteObj) -> None:
    path = obj("v 3 1 0\nv 5 1 0\nv 3 2 4\nv 900 900 900\nf 1 2 3\n")
    vertices = normalised(load_mesh(path, up="z"), radius=0.5).vertices[:3]
    np.testing.assert_allclose(vertices.min(axis=0), -vertices.max(axis=0), atol=1e-6)
    assert np.linalg.norm(vertices, axis=1).max() == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("v 0 0 0\nv 1 0 0\n", "no triangles"),
        ("", "mesh.obj"),
        (TRIANGLE.replace("1 0 0", "nan 0 0"), "finite"),
        (TRIANGLE.replace("0 2 0", "0 inf 0"), "finite"),
        ("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", "zero extent"),
    ],
)
def test_bad_geometry(obj: WriteObj, text: str, problem: str) -> None:
    path = obj(text)
    with pytest.raises(InputError, match=problem):
        normalised(load_mesh(path), radius=0.5)


def test_too_many_faces(obj: WriteObj, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshes, "MAX_FACES", 1)
    mesh = load_mesh(obj(TRIANGLE + "f 3 2 1\n"))
    with pytest.raises(InputError, match="2 faces; at most 1"):
        normalised(mesh, radius=0.5)


def test_bad_files(tmp_path: Path, obj: WriteObj) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_mesh(tmp_path / "absent.glb")
    with pytest.raises(InputError, match=r"ending in one of \.glb"):
        load_mesh(obj("hello", "notes.txt"))
    for name, content in {
        "noise.glb": b"\x07" * 100,
        "short.glb": b"glTF" + struct.pack("<III", 2, 12, 0),
        "broken.gltf": b"{ not json",
        "cut.ply": b"ply\nformat ascii 1.0\nelement vertex 9\n",
        "empty.stl": b"",
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=name):
            load_mesh(path)
