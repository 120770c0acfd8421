"""Makes notebooks/labs/*.ipynb from the TOML beside them: python tools/lab_notebooks.py (after a lab was changed)."""

from __future__ import annotations

from bwlib.training.labs import labs_folder, labs_in
from bwlib.training.notebook import notebook_text


def main() -> None:
    folder = labs_folder()
    for lab in labs_in(folder):
        (folder / f"{lab.id}.ipynb").write_text(notebook_text(lab), encoding="utf-8")


if __name__ == "__main__":
    main()
