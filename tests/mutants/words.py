"""Bugs in what messages say."""

from tests.mutants.mutation import Mutation

RENDERING = "tests/followups/test_rendering.py"
TEXTS = "tests/properties/test_texts.py"

WORDS = (
    Mutation(
        "a value is HTML",
        "followups/rendering.py",
        'html.escape(filled[part.name]).replace("*", "&#42;") if',
        "filled[part.name] if",
        (RENDERING,),
    ),
    Mutation(
        "a value is expanded once more",
        "followups/rendering.py",
        "    return clean(plain).strip()\n",
        "    return clean(_HOLE.sub(lambda hole: values.get(hole[1].strip(), hole[0]), plain)).strip()\n",
        (RENDERING,),
    ),
    Mutation(
        "a missing name leaves a hole",
        "followups/rendering.py",
        'name: value if _VISIBLE.search(value) else fallbacks.get(name, fallbacks[""])',
        "name: value",
        (RENDERING,),
    ),
    Mutation(
        "an unknown variable can be saved",
        "followups/linting.py",
        "        if name not in allowed\n",
        "        if False\n",
        ("tests/followups/test_linting.py",),
    ),
    Mutation(
        "a subject may have lines",
        "followups/rendering.py",
        "return one_line(fill_text(text, filled))",
        "return fill_text(text, filled)",
        (RENDERING,),
    ),
    Mutation(
        "a mail's subject may be read as encoded words",
        "followups/channels/email.py",
        '.replace("=?", "=\\u2060?")',
        "",
        (TEXTS,),
    ),
    Mutation(
        "a cut falls inside a letter",
        "followups/rendering.py",
        '_CLUSTER = regex.compile(r"\\X")',
        '_CLUSTER = regex.compile(r"(?s).")',
        (RENDERING,),
    ),
    Mutation(
        "NUL and half characters are stored",
        "followups/rendering.py",
        'return "\\x00" not in text and not any(',
        "return True or not any(",
        (RENDERING,),
    ),
    Mutation(
        "Tamil costs as much as English",
        "followups/segments.py",
        '"UCS-2": (70, 67)',
        '"UCS-2": (160, 153)',
        ("tests/followups/test_segments.py",),
    ),
    Mutation(
        "guidance shows on a locked screen",
        "followups/composing.py",
        "if not is_private:",
        "if False:",
        ("tests/followups/test_composing.py",),
    ),
    Mutation(
        "a new version reaches what a provider was given",
        "followups/selectors/versions.py",
        ', provider="")',
        ")",
        ("tests/followups/test_repinning.py",),
    ),
    Mutation(
        "what waits gets a version somebody has overtaken",
        "followups/services/repinning.py",
        "    if version != template.versions.first():\n",
        "    if False:\n",
        ("tests/followups/test_repinning.py",),
    ),
    Mutation(
        "a preview shows anybody's name",
        "followups/admin/templates/previews.py",
        '    if not request.user.has_perm("accounts.view_user"):\n',
        "    if False:\n",
        ("tests/followups/admin/test_template_editor.py",),
    ),
)
