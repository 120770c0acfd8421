import importlib.util
import warnings

import numpy as np
import pytest

from bwlib.sip import g711

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
EVERY_CODE = bytes(range(256))


def test_mu_law_has_the_values_of_the_standard():
    # ITU-T G.711 table 2: the ends of the range, and the two zeros
    assert g711.decode_ulaw(bytes([0x00, 0x80, 0x7F, 0xFF])).tolist() == [-32124, 32124, 0, 0]
    assert g711.encode_ulaw(np.array([0, 32767, -32768], dtype=np.int16)) == bytes([0xFF, 0x80, 0x00])


def test_a_law_has_the_values_of_the_standard():
    # ITU-T G.711 table 1, even bits inverted
    assert g711.decode_alaw(bytes([0x2A, 0xAA, 0xD5, 0x55])).tolist() == [-32256, 32256, 8, -8]
    assert g711.encode_alaw(np.array([8, -8, 32767, -32768], dtype=np.int16)) == bytes([0xD5, 0x55, 0xAA, 0x2A])


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_code_survives_decoding_and_encoding(law):
    encode, decode = getattr(g711, f"encode_{law}"), getattr(g711, f"decode_{law}")
    codes = EVERY_CODE.replace(b"\x7f", b"") if law == "ulaw" else EVERY_CODE  # mu-law has a second zero
    assert encode(decode(codes)) == codes


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_every_sample_agrees_with_the_standard_library(law):
    if importlib.util.find_spec("audioop") is None:
        pytest.skip("Python 3.13 has no audioop")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop  # type: ignore[import-not-found,unused-ignore]
    data = EVERY_SAMPLE.astype("<i2").tobytes()
    assert getattr(g711, f"encode_{law}")(EVERY_SAMPLE) == getattr(audioop, f"lin2{law}")(data, 2)
    assert getattr(g711, f"decode_{law}")(EVERY_CODE).astype("<i2").tobytes() == getattr(audioop, f"{law}2lin")(
        EVERY_CODE, 2
    )


def test_silence_codes_are_silence():
    assert abs(int(g711.decode_ulaw(bytes([g711.ULAW_SILENCE]))[0])) == 0
    assert abs(int(g711.decode_alaw(bytes([g711.ALAW_SILENCE]))[0])) <= 8
