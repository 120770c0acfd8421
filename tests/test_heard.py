import stat
import wave

import numpy as np
import pytest

from bwlib import heard
from bwlib.errors import RecordError
from bwlib.readback_clip import clip_pcm, voice_pcm
from bwlib.sip import g711

DRAW = np.random.default_rng(5)


def noise(seconds, loudness=3000):
    return (DRAW.normal(size=int(seconds * 8000)) * loudness).clip(-32768, 32767).astype(np.int16)


def silence(seconds):
    return np.zeros(int(seconds * 8000), dtype=np.int16)


def join(*parts):
    return np.concatenate(parts)


A, B, C = noise(1), noise(0.7), noise(1.3)
SENT = join(silence(0.5), A, silence(0.6), B, silence(0.4), C, silence(1))


def test_the_same_wave_is_heard():
    verdict = heard.compare(SENT, SENT)
    assert verdict.correlation == 1.0
    assert verdict.offset_s == 0.0
    assert verdict.seconds == pytest.approx(3.0, abs=0.1)


def test_the_delay_is_found():
    assert heard.compare(SENT, join(silence(2.125), SENT)).offset_s == 2.125
    assert heard.compare(SENT, SENT[2000:]).offset_s == -0.25


def test_loudness_does_not_matter_and_g711_hardly():
    assert heard.compare(SENT, g711.decode_ulaw(g711.encode_ulaw(SENT // 4))).correlation >= 0.99


def quieter(pcm, by_db):
    return (pcm * 10 ** (-by_db / 20)).round().astype(np.int16)


def test_what_is_far_too_faint_to_be_heard_is_not_heard():
    assert heard.compare(SENT, quieter(SENT, 27)).correlation >= 0.99
    assert heard.find(C, quieter(C, 27)).correlation >= 0.99
    assert heard.compare(SENT, quieter(SENT, 33)).correlation < 0.2
    assert heard.find(C, quieter(C, 33)).correlation < 0.2


def test_one_faint_utterance_spoils_the_verdict():
    faint = join(silence(0.5), A, silence(0.6), quieter(B, 33), silence(0.4), C, silence(1))
    assert heard.compare(SENT, faint).correlation < 0.3


def test_a_faint_copy_beside_the_real_one_does_no_harm():
    assert heard.find(B, join(quieter(B, 40), silence(1), B)).correlation == 1.0


def test_the_phones_voice_is_never_taken_for_the_clip():
    voice, clip = voice_pcm(), clip_pcm()
    assert heard.find(clip, join(silence(1), voice, silence(4))).correlation < 0.3
    assert heard.find(voice, join(silence(1), clip, silence(1))).correlation < 0.3
    assert heard.find(voice[800:-800], voice[800:-800]).correlation == 1.0


def test_the_phones_voice_is_found_at_one_place_only():
    voice = voice_pcm()
    assert np.array_equal(voice, voice_pcm())
    assert len(voice) == 12_000
    assert len(heard.utterances(voice)) == 1
    assert heard.find(voice[: len(voice) // 2], voice[len(voice) // 2 :]).correlation < 0.3


def test_each_utterance_may_have_its_own_delay():
    late = join(silence(1), A, silence(0.65), B, silence(0.38), C, silence(1))
    assert heard.compare(SENT, late).correlation == 1.0


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_one_missing_utterance_spoils_the_verdict(missing):
    parts = [silence(len(part) / 8000) if n == missing else part for n, part in enumerate((A, B, C))]
    received = join(silence(0.5), parts[0], silence(0.6), parts[1], silence(0.4), parts[2], silence(1))
    assert heard.compare(SENT, received).correlation < 0.3


def test_an_utterance_said_twice_must_be_heard_twice():
    twice = join(A, silence(0.5), A)
    assert heard.compare(twice, join(A, silence(3))).correlation < 0.6
    assert heard.compare(twice, twice).correlation == 1.0


def test_half_an_utterance_is_not_enough():
    assert 0.5 < heard.compare(C, C[len(C) // 2 :]).correlation < 0.9


def test_something_else_is_not_heard():
    assert heard.compare(SENT, noise(10)).correlation < 0.2
    assert heard.find(A, join(B, C)).correlation < 0.2


@pytest.mark.parametrize(
    "other",
    [silence(0), silence(3), np.full(8000, 1000, dtype=np.int16), np.full(5, 9, dtype=np.int16)],
    ids=["empty", "silent", "constant", "short"],
)
def test_silence_and_constants_are_never_heard_and_never_nan(other):
    for verdict in (heard.compare(SENT, other), heard.compare(other, SENT), heard.find(other, SENT)):
        assert 0.0 <= verdict.correlation < 0.2


def test_a_clip_is_found_anywhere_in_a_recording():
    recording = join(noise(2, 500), B, noise(2, 500))
    verdict = heard.find(B, recording)
    assert verdict.correlation >= 0.99
    assert verdict.offset_s == 2.0


def test_the_clips_own_silence_counts_for_the_offset():
    assert heard.find(join(silence(0.2), B), join(silence(1), B)).offset_s == pytest.approx(0.8)


def test_full_scale_samples_do_not_overflow():
    loud = (np.sign(noise(1)) * 32767).astype(np.int16)
    assert heard.compare(loud, join(silence(1), loud)).correlation == 1.0


def test_utterances_are_cut_at_pauses_of_300_ms():
    assert len(heard.utterances(join(A, silence(0.2), B, silence(0.4), C))) == 2


def test_a_click_counts_only_when_there_is_nothing_else():
    assert len(heard.utterances(join(noise(0.02), silence(1), A))) == 1
    assert len(heard.utterances(join(silence(1), noise(0.02), silence(1)))) == 1


def test_a_wav_file_survives_writing_and_reading(tmp_path):
    path = heard.write_wav(tmp_path / "a.wav", SENT)
    assert np.array_equal(heard.read_wav(path), SENT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


def test_another_format_is_refused(tmp_path):
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as wav:
        wav.setparams((2, 2, 44100, 0, "NONE", ""))
        wav.writeframes(b"\0" * 400)
    with pytest.raises(RecordError, match="44100 Hz"):
        heard.read_wav(tmp_path / "stereo.wav")
    (tmp_path / "no.wav").write_bytes(b"hello")
    with pytest.raises(RecordError, match="not a WAV file"):
        heard.read_wav(tmp_path / "no.wav")
