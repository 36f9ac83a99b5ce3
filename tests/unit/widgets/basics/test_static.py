"""Static: the scripts that a widget sends are whole, one module of one scope, and each part is in it once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ravl_explore.widgets.basics import static
from ravl_explore.widgets.basics.static import script, style


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """``write(name, text)`` makes a file of another ``static/``."""
    monkeypatch.setattr(static, "STATIC", tmp_path)

    def to(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return to


def test_what_is_imported_comes_first_and_once(write: Callable[[str, str], None]) -> None:
    write(
        "a.js", 'import { b } from "./in/b.js";\nimport {\n  c,\n  d,\n} from "./c.js";\nexport default { b, c, d };\n'
    )
    write("in/b.js", '// Bé\nimport { c } from "../c.js";\n\nexport const b = () => c();\n')
    write("c.js", "export function c() {}\nexport async function d() {}\nexport class E {}\nconst import_ = 1;\n")
    assert script("a.js").replace("\n\n", "\n") == (
        "function c() {}\nasync function d() {}\nclass E {}\nconst import_ = 1;\n"
        "// Bé\nconst b = () => c();\nexport default { b, c, d };\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        'import x from "./b.js";',
        'import * as x from "./b.js";',
        'import "./b.js";',
        'import { x } from "somewhere";',
        'export { x } from "./b.js";',
        "export let x = 1;",
        "export default x;",
    ],
)
def test_other_forms_are_refused(write: Callable[[str, str], None], line: str) -> None:
    write("a.js", f"{line}\nexport default {{}};\n")
    with pytest.raises(ValueError, match=r"named imports and exports in all that a\.js needs and one default, got \["):
        script("a.js")


def test_a_widgets_module_has_a_default(write: Callable[[str, str], None]) -> None:
    write("a.js", "export const a = 1;\n")
    with pytest.raises(ValueError, match=r"one default, got \[\]"):
        script("a.js")


def test_two_modules_cannot_declare_one_name(write: Callable[[str, str], None]) -> None:
    write("a.js", 'import { b } from "./b.js";\nfunction own() {\n  const inner = b;\n}\nexport default own;\n')
    write("b.js", "const own = 1;\nexport function b() {\n  const inner = own;\n}\n")
    with pytest.raises(ValueError, match=r"got \['own'\] twice"):
        script("a.js")


def test_the_two_tables_share_their_rows() -> None:
    rows = (static.STATIC / "shared" / "rows.js").read_text(encoding="utf-8").replace("export ", "")
    assert all(rows in script(name) for name in ("runs.js", "table.js"))


def test_a_style_is_given_as_it_is() -> None:
    assert style("crops.css") == (static.STATIC / "crops.css").read_text(encoding="utf-8")
