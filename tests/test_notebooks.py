"""The notebooks run at their small size, without a warning, and are stored as notebooks/README.md says."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REMEDY = "run make strip-notebooks"
WARNINGS_ARE_ERRORS = """
import warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", module=r"ipykernel\\.")  # what it says of itself when it ends
"""
LONGEST_CELL_S = 600

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def parameters(notebook: Any) -> Any:
    """Return the one cell that says what a notebook takes to run."""
    (found,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    return found


def assigned(source: str) -> list[str]:
    """Return the names that plain assignments, and nothing else, give values to."""
    names = []
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign), ast.unparse(statement)
        (target,) = statement.targets
        assert isinstance(target, ast.Name), ast.unparse(target)
        names.append(target.id)
    return names


def small(path: Path) -> Any:
    """Return a notebook that will run at its small size and stop at a warning."""
    notebook = read(path)
    cell = parameters(notebook)
    values = "\n".join(f"{name} = {value!r}" for name, value in cell.metadata["small"].items())
    notebook.cells.insert(notebook.cells.index(cell) + 1, nbformat.v4.new_code_cell(values))
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WARNINGS_ARE_ERRORS))
    return notebook


@every_notebook
def test_a_notebook_is_stored_without_outputs_and_with_minimal_metadata(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.read_text(encoding="utf-8") == nbformat.writes(notebook) + "\n", REMEDY
    assert set(notebook.metadata) == {"kernelspec"}, REMEDY
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert cell.metadata == {} or cell is parameters(notebook), REMEDY
        if cell.cell_type == "code":
            assert (cell.execution_count, cell.outputs) == (None, []), REMEDY


@every_notebook
def test_cells_have_ids_that_say_what_they_are_for(path: Path) -> None:
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    # JupyterLab gives new cells a number of 32 hexadecimal digits
    assert [each for each in ids if not re.fullmatch("[a-z]+(-[a-z0-9]+)*", each) or len(each) > 30] == []


@every_notebook
def test_the_small_size_sets_parameters_that_the_notebook_has(path: Path) -> None:
    cell = parameters(read(path))
    assert set(cell.metadata) == {"tags", "small"}
    assert cell.metadata["tags"] == ["parameters"]
    assert cell.metadata["small"]
    assert set(cell.metadata["small"]) <= set(assigned(cell.source))


@every_notebook
def test_links_of_a_notebook_lead_to_files(path: Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_has_a_row_for_every_notebook() -> None:
    rows = re.findall(r"^\| \[\w+\]\((\w+\.ipynb)\)", (ROOT / "notebooks" / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == [path.name for path in NOTEBOOKS]


@pytest.mark.slow
@every_notebook
def test_a_notebook_runs_without_a_warning_and_shows_its_pictures(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    client = NotebookClient(small(path), timeout=LONGEST_CELL_S, resources={"metadata": {"path": str(folder)}})
    done = client.execute()

    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert "".join(output.text for output in outputs if output.get("name") == "stderr") == ""
    shown = [output.data for output in outputs if "data" in output]
    assert any("image/png" in data for data in shown)
    drawn = [data for data in shown if re.match("<(Axes|Picture|Figure)", data.get("text/plain", ""))]
    assert [data["text/plain"] for data in drawn if "image/png" not in data] == []
