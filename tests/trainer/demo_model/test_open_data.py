from operators.domain.features import EncoderInputSettings
from operators.imaging.encoder_input import make_encoder_input
from trainer.demo_model.open_data import make_phantoms


def test_phantoms_are_what_the_encoder_takes() -> None:
    """Whole numbers, as scanners store them: the published cast to int16 takes nothing from them."""
    scans = list(make_phantoms(2))
    assert [scan.name for scan in scans] == ["noise", "clouds", "air"]
    for scan in scans:
        assert make_encoder_input(scan.volume, EncoderInputSettings()).settings.casts_to_int16
        assert (scan.volume.array % 1 == 0).all()
