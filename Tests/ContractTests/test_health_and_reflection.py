"""Health and reflection, through grpcio's own clients of them."""

import signal

import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from keeper import FILES, PATIENCE, SERVICES, Code, Daemon, Watcher, message, path_of, refused

PUBLIC = ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def health(client):
    return health_pb2_grpc.HealthStub(client.channel)


def ask(service):
    return health_pb2.HealthCheckRequest(service=service)


@pytest.mark.parametrize("service", ["", *SERVICES, *PUBLIC])
def test_every_service_is_serving_by_its_name(health, service):
    assert health.Check(ask(service)).status == SERVING


def test_an_unknown_service_is_not_found_by_check_and_unknown_to_watch(health):
    with refused(Code.NOT_FOUND):
        health.Check(ask("agentkeeper.v1.Nothing"))
    watch = health.Watch(ask("agentkeeper.v1.Nothing"), timeout=PATIENCE)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_list_tells_the_status_of_all(health):
    statuses = health.List(health_pb2.HealthListRequest()).statuses
    assert set(statuses) >= {"", *SERVICES} and {each.status for each in statuses.values()} == {SERVING}


def test_watch_tells_the_status_at_once_and_that_it_ends():
    daemon = Daemon()
    stub = health_pb2_grpc.HealthStub(daemon.client().channel)
    watcher = Watcher(stub.Watch(ask("agentkeeper.v1.LeaseService"), timeout=PATIENCE))
    assert watcher.next().status == SERVING
    daemon.process.send_signal(signal.SIGTERM)
    last = watcher.next()
    while last is not None and last.status == health_pb2.HealthCheckResponse.NOT_SERVING:
        last = watcher.next()
    assert last is None and watcher.error.code() == Code.UNAVAILABLE
    assert daemon.wait() == 0


def test_reflection_lists_the_services(client):
    found = ProtoReflectionDescriptorDatabase(client.channel).get_services()
    assert sorted(found) == sorted([*SERVICES, *PUBLIC])


def test_a_client_without_our_files_makes_a_call_by_reflection(client):
    pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(client.channel))
    method = pool.FindServiceByName("agentkeeper.v1.RegistryService").methods_by_name["Register"]
    request = message_factory.GetMessageClass(method.input_type)
    reply = message_factory.GetMessageClass(method.output_type)
    register = client.channel.unary_unary(
        path_of(method), request_serializer=request.SerializeToString, response_deserializer=reply.FromString
    )
    agent = register(request(card=dict(name="reflected"))).agent_id
    assert client.GetAgent(agent_id=agent).agent.card.name == "reflected"
    # A file that imports another, and protobuf's own beneath them.
    assert pool.FindMessageTypeByName("agentkeeper.v1.WatchEventsRequest").fields_by_name["after_sequence"].number == 6
    assert pool.FindMessageTypeByName("google.protobuf.Timestamp").fields_by_name["nanos"].number == 2


@pytest.fixture(params=["v1", "v1alpha"])
def conversation(client, request):
    """Asks each question in turn on one stream, and gives the answers."""
    package = f"grpc.reflection.{request.param}"
    question = message(f"{package}.ServerReflectionRequest")
    answer = message(f"{package}.ServerReflectionResponse")
    stub = client.channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=question.SerializeToString,
        response_deserializer=answer.FromString,
    )
    return lambda *questions: list(stub(iter([question(**each) for each in questions]), timeout=PATIENCE))


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("agentkeeper.v1.LeaseService", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.LeaseService.RenewLease", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.Lease", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.Lease.token", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.TaskStatus", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.AgentCard.MetadataEntry", "agentkeeper/v1/agentkeeper.proto"),
        ("agentkeeper.v1.WatchService", "agentkeeper/v1/watch.proto"),
        ("google.protobuf.Any", "google/protobuf/any.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
    ],
)
def test_a_file_is_found_by_its_name_and_by_what_is_in_it(conversation, symbol, file):
    by_symbol, by_name = conversation({"file_containing_symbol": symbol}, {"file_by_filename": file})
    for reply in (by_symbol, by_name):
        files = reply.file_descriptor_response.file_descriptor_proto
        assert FILES[file].SerializeToString() in [without_json_names(each) for each in files]


def without_json_names(serialized):
    """Ours is compiled by grpcio's protoc, the daemon's by Debian's: compared is what both write."""
    return type(FILES["google/protobuf/any.proto"]).FromString(serialized).SerializeToString()


def test_what_is_not_found_is_an_error_and_the_conversation_goes_on(conversation):
    questions = [
        {"file_by_filename": "no/such.proto"},
        {"file_containing_symbol": "agentkeeper.v1.Nothing"},
        {"file_containing_extension": dict(containing_type="agentkeeper.v1.Lease", extension_number=100)},
        {"host": "example", "list_services": "*"},
    ]
    replies = conversation(*questions)
    assert [reply.error_response.error_code for reply in replies[:3]] == [Code.NOT_FOUND.value[0]] * 3
    assert {each.name for each in replies[3].list_services_response.service} == {*SERVICES, *PUBLIC}
    assert replies[3].valid_host == replies[3].original_request.host == "example"
    assert replies[0].original_request.file_by_filename == "no/such.proto"


def test_a_question_without_content_is_answered_with_an_error(conversation):
    (reply,) = conversation({})
    assert reply.error_response.error_code == Code.INVALID_ARGUMENT.value[0]


def test_a_message_has_no_extensions(conversation):
    known, unknown = conversation(
        {"all_extension_numbers_of_type": "agentkeeper.v1.Lease"}, {"all_extension_numbers_of_type": "no.Such"}
    )
    assert known.all_extension_numbers_response.base_type_name == "agentkeeper.v1.Lease"
    assert not known.all_extension_numbers_response.extension_number
    assert unknown.error_response.error_code == Code.NOT_FOUND.value[0]
