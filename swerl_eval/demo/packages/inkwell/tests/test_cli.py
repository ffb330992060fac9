from inkwell.cli import main


def test_writes_to_a_file(tmp_path):
    source, target = tmp_path / "a.ink", tmp_path / "a.html"
    source.write_text("= Crème brûlée", encoding="utf-8")
    assert main([str(source), "-o", str(target)]) == 0
    assert "Crème brûlée" in target.read_bytes().decode("utf-8")


def test_writes_to_standard_output(tmp_path, capsys):
    source = tmp_path / "a.ink"
    source.write_text("hello", encoding="utf-8")
    assert main([str(source)]) == 0
    assert "<p>hello</p>" in capsys.readouterr().out


def test_missing_input(tmp_path, capsys):
    assert main([str(tmp_path / "none.ink")]) == 1
    assert capsys.readouterr().err.startswith("inkwell: ")
