import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
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
