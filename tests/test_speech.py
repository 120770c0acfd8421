import importlib.util
import sys

import numpy as np
import pytest

from bwlib import heard
from bwlib.sandbox import speech

TEXTS = ["You dialled 9 1 9.", "You pressed 4. Goodbye.", "You pressed 5. Goodbye.", "?", ""]


@pytest.fixture
def no_cache():
    speech._say.cache_clear()
    yield
    speech._say.cache_clear()


@pytest.fixture
def without_library(monkeypatch, no_cache):
    monkeypatch.setattr(speech, "_library", lambda: None)


@pytest.fixture
def without_any_engine(monkeypatch, without_library):
    monkeypatch.setattr(speech, "_program", lambda: None)


def check_voice(texts):
    voices = [speech.say(text) for text in texts]
    for pcm in voices:
        assert pcm.dtype == np.int16
        assert not pcm[:800].any()
        assert not pcm[-800:].any()
        assert pcm.any()
    for n, one in enumerate(voices):
        for m, other in enumerate(voices):
            assert (heard.compare(one, other).correlation > 0.9) == (n == m)


def test_each_text_sounds_like_itself_and_like_no_other(no_cache):
    check_voice(TEXTS)


def test_tones_stand_in_when_there_is_no_speech_engine(without_any_engine):
    assert speech.engine() == "tones"
    check_voice(TEXTS)


def test_the_same_text_gives_the_same_samples(without_any_engine):
    first = speech.say("Hello there.")
    speech._say.cache_clear()
    assert np.array_equal(speech.say("Hello \n there."), first)


def test_the_caller_may_change_what_it_got():
    speech.say("Mine.")[:] = 7
    assert speech.say("Mine.")[0] == 0


def test_the_library_speaks_when_it_is_installed():
    if importlib.util.find_spec("espeakng_loader") is None:
        pytest.skip("the optional extra `speech` is not installed")
    assert speech.engine() == "espeak-ng (library)"
    assert 0.8 < len(speech.say("One two three.")) / 8000 < 4


def test_long_text_is_cut(without_any_engine):
    longest = "word " * (speech.MAX_TEXT_CHARS // 5)
    assert np.array_equal(speech.say(longest + "and more"), speech.say(longest + "and something else"))


@pytest.mark.parametrize("exit_code", [0, 1])
def test_the_program_on_path_speaks_when_there_is_no_library(tmp_path, monkeypatch, without_library, exit_code):
    program = tmp_path / "espeak-ng"
    program.write_text(
        f"#!{sys.executable}\n"
        "import io, math, struct, sys, wave\n"
        "text = sys.stdin.read()\n"
        "out = io.BytesIO()\n"
        "wav = wave.open(out, 'wb'); wav.setparams((1, 2, 22050, 0, 'NONE', ''))\n"
        "wav.writeframes(b''.join(struct.pack('<h', int(9000 * math.sin(n / 9))) for n in range(22050)))\n"
        "wav.close()\n"
        "data = bytearray(out.getvalue()); data[40:44] = data[4:8] = b'\\xff\\xff\\xff\\x7f'\n"
        f"sys.stdout.buffer.write(bytes(data)); sys.exit({exit_code})\n"
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert speech.engine() == "espeak-ng (program)"
    spoken = speech.say("Hello.")
    tones = speech._tones("Hello.")
    assert (len(spoken) == 8000 + 1600) if exit_code == 0 else np.array_equal(spoken[800:-800], tones)


def test_resampling_keeps_the_voice_and_drops_what_would_fold_back():
    time = np.arange(22050) / 22050
    voice, hiss = np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 7000 * time)  # 7000 Hz would become 1000 Hz
    kept = speech.to_8000_hz((voice * 8000).astype(np.int16), 22050).astype(float)
    mixed = speech.to_8000_hz(((voice + hiss) * 8000).astype(np.int16), 22050).astype(float)
    expected = np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)
    assert len(kept) == 8000
    for result in (kept, mixed):
        assert np.corrcoef(result[100:-100], expected[100:-100])[0, 1] > 0.9999


def test_resampling_nothing_gives_nothing():
    assert len(speech.to_8000_hz(np.zeros(0, dtype=np.int16), 22050)) == 0
