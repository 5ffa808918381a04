"""What notifications call a service, and that a reload renames it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelhost.config.model import Settings
from modelhost.errors import ConfigError
from modelhost.host.notes import service_name
from tests.modelhost.host.service import PAIR, Service
from tests.support.hook import hook


def _settings(**more: object) -> Settings:
    return Settings.model_validate({"registry": {"root": "models"}, "components": {"model": {}}, **more})


def test_a_service_is_called_by_its_name_else_its_group_else_its_folder() -> None:
    folder = Path("/srv/translator")
    cluster = {"group": "shop"}
    assert service_name(_settings(name="Translations", cluster=cluster), folder) == "Translations"
    assert service_name(_settings(cluster=cluster), folder) == "shop"
    assert service_name(_settings(), folder) == "translator"
    assert service_name(_settings(), Path("/")) == "modelhost"


def test_a_name_that_is_none_is_refused(service: Service) -> None:
    service.pair("1.0.0")
    with pytest.raises(ConfigError, match="name"):
        service.open(PAIR + "    name: 'two\\nlines'\n")


def test_each_message_names_the_service_as_the_configuration_that_runs_does(service: Service) -> None:
    with hook() as (address, messages):
        service.pair("1.0.0", "1.1.0")
        text = PAIR + f'    notify: ["{address}"]\n'
        host = service.open(text)
        assert host.serving.events.flush(30)
        service.write(text + "    name: Shop\n")
        assert host.reload().changed == ("name",)
        host.promote({"model": "1.0.0", "tokenizer": "1.0.0"}, who="ann", why="older")
        assert host.serving.events.flush(30)
    titles = [message["title"] for message in messages]
    assert [title.split(": ")[:2] for title in titles] == [[service.path.name, "start"], ["Shop", "swap"]]
