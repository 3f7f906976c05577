"""An unmodified client of the PyPI package works with the daemon."""

import os
import re
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

from isolated import namespace
from keeper import FILES, ROOT

SOURCE = Path(os.environ.get("AGENTKEEPER_SDK_SOURCE", ROOT / ".venv/sdk"))


def test_the_packages_own_suite_passes():
    suite = Path(__file__).with_name("package_suite.py")
    command = [*namespace(), sys.executable, suite, SOURCE]
    # It gives an event 0.3 seconds to reach a thread of its own, which a busy machine may not: so it may try again.
    for _ in range(2):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout
    # 18 cases with a daemon, 5 that start their own. A suite that collected nothing would pass just as well.
    assert re.search(r"\b23 passed", done.stdout), done.stdout


def contains(ours, theirs, where):
    """All that is in their descriptor is in ours, the same. Ours may have more."""
    for field, value in theirs.ListFields():
        found = getattr(ours, field.name)
        if field.message_type and field.is_repeated:
            by_name = {each.name: each for each in found}
            for each in value:
                assert each.name in by_name, f"{where}: {each.name} is missing"
                contains(by_name[each.name], each, f"{where}.{each.name}")
        elif (
            field.name != "json_name"
        ):  # Derived from the name; protoc writes it for some consumers and not for others.
            assert found == value, f"{where}: {field.name}"


def test_the_schema_has_all_that_the_package_has():
    # In a process of its own: the package's modules register the same names in the process-wide descriptor pool.
    read = (
        "import sys; from agentkeeper.v1.agentkeeper_pb2 import DESCRIPTOR; "
        "sys.stdout.buffer.write(DESCRIPTOR.serialized_pb)"
    )
    serialized = subprocess.run([sys.executable, "-c", read], stdout=subprocess.PIPE, check=True, cwd="/").stdout
    theirs = descriptor_pb2.FileDescriptorProto.FromString(serialized)
    assert len(theirs.service) == 5 and sum(len(service.method) for service in theirs.service) == 22
    contains(FILES["agentkeeper/v1/agentkeeper.proto"], theirs, "agentkeeper.v1")


def test_health_and_reflection_have_the_public_schema():
    from grpc_health.v1 import health_pb2
    from grpc_reflection.v1alpha import reflection_pb2

    for module, path in (
        (health_pb2, "grpc/health/v1/health.proto"),
        (reflection_pb2, "grpc/reflection/v1alpha/reflection.proto"),
    ):
        public = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        public.name = path
        contains(FILES[path], public, path)
        contains(public, FILES[path], path)


def test_the_two_versions_of_reflection_differ_in_name_only():
    alpha, stable = (FILES[f"grpc/reflection/{version}/reflection.proto"] for version in ("v1alpha", "v1"))
    assert str(alpha.message_type).replace("v1alpha", "v1") == str(stable.message_type)
    assert str(alpha.service).replace("v1alpha", "v1") == str(stable.service)
