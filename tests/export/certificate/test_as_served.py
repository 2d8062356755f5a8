"""What is certified is what serves: a fault in the code of the encode step itself refuses the export."""

import pytest

from encserve_export.errors import CertificateFailed
from encserve_export.export import export
from encserve_server.steps.encode.batch import MicroBatch
from encserve_server.steps.encode.network.packed_session import PackedSession


def test_a_wrong_copy_for_single_texts_is_refused(export_config, monkeypatch):
    """It answers a text that has the machine to itself, and no other."""
    genuine = PackedSession.run_pack

    def spoiled(self, columns, outputs, *, all_cores=False):
        rows = genuine(self, columns, outputs, all_cores=all_cores)
        return {name: each[:, ::-1] for name, each in rows.items()} if all_cores else rows

    monkeypatch.setattr(PackedSession, "run_pack", spoiled)
    with pytest.raises(CertificateFailed, match="company_max_abs_diff is"):
        export(export_config)


def test_texts_that_get_each_others_rows_are_refused(export_config, monkeypatch):
    genuine = MicroBatch._parts

    def swapped(self, columns, rows):
        parts = genuine(self, columns, rows)
        return [*parts[1:], parts[0]]

    monkeypatch.setattr(MicroBatch, "_parts", swapped)
    with pytest.raises(CertificateFailed, match="cosine_min is"):
        export(export_config)


def test_a_step_that_answers_with_an_error_is_refused(export_config, monkeypatch):
    def broken(self, columns, outputs, *, all_cores=False):
        raise MemoryError("no room")

    monkeypatch.setattr(PackedSession, "run_pack", broken)
    # Its speed is measured first, so that is where it is found.
    with pytest.raises(CertificateFailed, match="the encode step fails where its speed is measured: no room"):
        export(export_config)
