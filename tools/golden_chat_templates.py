#!/usr/bin/env python3
"""Renders the golden chat conversations under tests/golden/chat with Python's jinja2.

Each file holds its own template, tokens and cases; a file name_X takes its template from
src/core/chat_template_names.cc. The environment is that of Hugging Face transformers (its
apply_chat_template), which chat templates are written for.

    python3 -m venv .venv && .venv/bin/pip install jinja2==3.1.6
    .venv/bin/python tools/golden_chat_templates.py [--check]

--check writes nothing and exits with 1 when a file differs from what jinja2 renders.
"""

import argparse
import datetime
import json
import pathlib
import re
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

JINJA2 = "3.1.6"
ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMED = re.compile(r'constexpr std::string_view k(\w+) = R"jinja\((.*?)\)jinja";', re.DOTALL)


def environment() -> jinja2.Environment:
    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) -> str:
        # jinja2's own filter escapes for HTML.
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return env


def named_templates() -> dict[str, str]:
    source = (ROOT / "src/core/chat_template_names.cc").read_text(encoding="utf-8")
    return {name.lower(): text for name, text in NAMED.findall(source)}


def rendered(file: dict, template: str) -> dict:
    """The file with its template replaced and every case rendered anew."""
    tokens = {f"{name}_token": file[name] for name in ("bos", "eos") if file[name]}
    compiled = environment().from_string(template)
    cases = []
    for case in file["cases"]:
        case = {key: case[key] for key in ("name", "messages", "add_generation_prompt")}
        try:
            case["expected"] = compiled.render(
                messages=case["messages"],
                add_generation_prompt=case["add_generation_prompt"],
                tools=None,
                documents=None,
                **tokens,
            )
        except jinja2.TemplateError as error:
            case["error"] = str(error)
        cases.append(case)
    made_by = f"tools/{pathlib.Path(__file__).name}, jinja2 {JINJA2}"
    return {**file, "made_by": made_by, "template": template, "cases": cases}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    check = parser.parse_args().check
    if jinja2.__version__ != JINJA2:
        print(f"jinja2 is {jinja2.__version__}, expected {JINJA2}: pip install jinja2=={JINJA2}", file=sys.stderr)
        return 1
    named = named_templates()
    n_different = 0
    for path in sorted((ROOT / "tests/golden/chat").glob("*.json")):
        old = path.read_text(encoding="utf-8")
        file = json.loads(old)
        name = path.stem.removeprefix("name_")
        if name != path.stem and name not in named:
            print(f"{path.name}: chat_template_names.cc has no template '{name}'", file=sys.stderr)
            return 1
        template = named[name] if name != path.stem else file["template"]
        new = json.dumps(rendered(file, template), ensure_ascii=False, indent=1) + "\n"
        if new == old:
            continue
        n_different += 1
        print(f"{path.name}: {'differs' if check else 'written'}")
        if not check:
            path.write_text(new, encoding="utf-8")
    if n_different == 0:
        print("golden chat templates: every file is as jinja2 renders it")
    return 1 if check and n_different else 0


if __name__ == "__main__":
    sys.exit(main())
