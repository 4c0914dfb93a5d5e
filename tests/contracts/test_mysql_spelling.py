"""What MySQL's information_schema prints, as its manual has it, in the spelling that we keep.

MySQL itself is not run by these tests; see docs/sources.md.
"""

from __future__ import annotations

import pytest

pytest.importorskip("pymysql", reason="pip install 'amxwatch[mysql]'")

from amxwatch.databases.mysql.product import MARIADB, MYSQL, Product, product_of
from amxwatch.databases.mysql.spelling import spelled_default, spelled_type


@pytest.mark.parametrize(
    ("version", "product"),
    [
        ("10.11.18-MariaDB-0+deb12u1 Debian 12", MARIADB),
        ("5.5.5-10.6.1-MariaDB-log", MARIADB),
        ("8.0.36 MySQL Community Server - GPL", MYSQL),
        ("8.4.0-aws Source distribution", MYSQL),
    ],
)
def test_the_product_is_known_by_its_version(version: str, product: Product) -> None:
    assert product_of(version) is product


@pytest.mark.parametrize(
    ("declared", "text", "extra", "expression", "spelled"),
    [
        ("int", None, "", "", None),
        ("int", "7", "", "", "7"),
        ("decimal(10,2)", "1.50", "", "", "1.50"),
        ("bit(5)", "b'101'", "", "", "b'101'"),
        ("varchar(9)", "it's", "", "", "'it''s'"),
        ("varchar(9)", "NULL", "", "", "'NULL'"),
        ("datetime", "2024-01-02 00:00:00", "", "", "'2024-01-02 00:00:00'"),
        ("timestamp", "CURRENT_TIMESTAMP", "DEFAULT_GENERATED", "", "CURRENT_TIMESTAMP"),
        (
            "datetime(3)",
            "CURRENT_TIMESTAMP(3)",
            "DEFAULT_GENERATED on update CURRENT_TIMESTAMP(3)",
            "",
            "CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)",
        ),
        (
            "varchar(9)",
            "concat(_utf8mb4\\'a\\',1)",
            "DEFAULT_GENERATED",
            "",
            "concat(_utf8mb4'a',1)",
        ),
        ("int", None, "auto_increment", "", "AUTO_INCREMENT"),
        ("int", "3", "INVISIBLE", "", "3"),
        (
            "int",
            None,
            "STORED GENERATED",
            "(`a` = _utf8mb4\\'x\\')",
            "GENERATED ALWAYS AS ((`a` = _utf8mb4'x')) STORED",
        ),
        ("int", None, "VIRTUAL GENERATED", "`a`", "GENERATED ALWAYS AS (`a`) VIRTUAL"),
    ],
)
def test_defaults_of_mysql(
    declared: str, text: str | None, extra: str, expression: str, spelled: str | None
) -> None:
    found = spelled_default(MYSQL, declared=declared, text=text, extra=extra, expression=expression)
    assert found == spelled


@pytest.mark.parametrize(
    ("product", "declared", "collation", "spelled"),
    [
        (MYSQL, "int", None, "int"),
        (MARIADB, "int(11)", None, "int"),
        (MARIADB, "int(10) unsigned", None, "int unsigned"),
        (MARIADB, "int(11) unsigned", None, "int(11) unsigned"),
        (MARIADB, "bigint(20)", None, "bigint"),
        (MARIADB, "tinyint(1)", None, "tinyint(1)"),
        (MARIADB, "int(10) unsigned zerofill", None, "int(10) unsigned zerofill"),
        (MYSQL, "varchar(9)", "utf8mb4_0900_ai_ci", "varchar(9)"),
        (MARIADB, "varchar(9)", "utf8mb4_0900_ai_ci", "varchar(9) collate utf8mb4_0900_ai_ci"),
        (MYSQL, "varchar(9)", "utf8mb4_general_ci", "varchar(9) collate utf8mb4_general_ci"),
        (MARIADB, "text /*M!100301 COMPRESSED*/", "utf8mb4_general_ci", "text"),
        (MARIADB, "enum('int(11)','/*!1 x*/')", "utf8mb4_general_ci", "enum('int(11)','/*!1 x*/')"),
    ],
)
def test_types(product: Product, declared: str, collation: str | None, spelled: str) -> None:
    assert spelled_type(product, declared, collation=collation) == spelled
