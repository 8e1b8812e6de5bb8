"""SNS: topics, what is published to them and who hears of it."""

import base64
import json
import urllib.request
import uuid

import pytest

from aws.cloud import every, once, refused
from aws.fleet import fresh

ADDRESS = "patching@example.com"


@pytest.fixture
def sns(cloud):
    return cloud.client("sns")


@pytest.fixture
def topic(sns):
    arn = sns.create_topic(Name=f"proof-{uuid.uuid4().hex[:12]}")["TopicArn"]
    yield arn
    sns.delete_topic(TopicArn=arn)


def unknown(cloud):
    return f"arn:aws:sns:{cloud.region}:{cloud.account}:there-is-no-such-topic"


def test_a_topic_is_of_its_account_and_region(cloud, topic):
    assert topic.startswith(f"arn:aws:sns:{cloud.region}:{cloud.account}:proof-")


def test_making_a_topic_again_gives_the_same_one(sns, topic):
    assert sns.create_topic(Name=topic.rpartition(":")[2])["TopicArn"] == topic


def test_every_topic_is_listed_once(sns, topic):
    names = [sns.create_topic(Name=f"proof-page-{at}")["TopicArn"] for at in range(3)]
    assert {topic, *names} <= once(every(sns, "list_topics", "Topics"), "TopicArn")
    for arn in names:
        sns.delete_topic(TopicArn=arn)
    assert not {*names} & once(every(sns, "list_topics", "Topics"), "TopicArn")


def test_topics_are_not_seen_from_another_account_or_region(cloud, topic):
    for account, region in cloud.scopes():
        if (account, region) != (cloud.account, cloud.region):
            other = cloud.client("sns", region, account)
            assert topic not in once(every(other, "list_topics", "Topics"), "TopicArn")


def test_attributes_are_set_and_read(cloud, sns, topic):
    sns.set_topic_attributes(TopicArn=topic, AttributeName="DisplayName", AttributeValue="Patching")
    held = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    assert held["DisplayName"] == "Patching"
    assert held["TopicArn"] == topic
    assert held["Owner"] == cloud.account


def test_a_message_gets_its_own_id(sns, topic):
    ids = {sns.publish(TopicArn=topic, Message=f"{at}")["MessageId"] for at in range(2)}
    assert len(ids) == 2


def test_a_batch_answers_for_each_entry(sns, topic):
    entries = [{"Id": f"e{at}", "Message": f"message {at}"} for at in range(10)]
    reply = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert once(reply["Successful"], "Id") == {it["Id"] for it in entries}
    assert reply.get("Failed", []) == []


def test_an_entry_that_only_a_queue_would_take_fails_alone(sns, topic):
    entries = [{"Id": "queued", "Message": "x", "MessageDeduplicationId": "1"}]
    entries.append({"Id": "plain", "Message": "x"})
    reply = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    assert once(reply["Successful"], "Id") == {"plain"}
    assert [(it["Id"], it["SenderFault"]) for it in reply["Failed"]] == [("queued", True)]


def test_a_batch_has_ten_entries_at_most(sns, topic):
    entries = [{"Id": f"e{at}", "Message": "x"} for at in range(11)]
    call = sns.publish_batch
    refused(
        "TooManyEntriesInBatchRequest", call, TopicArn=topic, PublishBatchRequestEntries=entries
    )


def test_the_ids_of_a_batch_differ(sns, topic):
    entries = [{"Id": "same", "Message": "x"}] * 2
    call = sns.publish_batch
    refused("BatchEntryIdsNotDistinct", call, TopicArn=topic, PublishBatchRequestEntries=entries)


def test_a_subscription_is_listed_until_it_is_taken_back(sns, topic):
    made = sns.subscribe(
        TopicArn=topic, Protocol="email", Endpoint=ADDRESS, ReturnSubscriptionArn=True
    )
    arn = made["SubscriptionArn"]
    held = every(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)
    assert [(it["Protocol"], it["Endpoint"], it["TopicArn"]) for it in held] == [
        ("email", ADDRESS, topic)
    ]
    sns.unsubscribe(SubscriptionArn=arn)
    assert every(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic) == []


def test_an_unknown_topic_is_not_found(cloud, sns):
    arn = unknown(cloud)
    refused("NotFound", sns.publish, TopicArn=arn, Message="x")
    refused("NotFound", sns.get_topic_attributes, TopicArn=arn)
    refused("NotFound", sns.subscribe, TopicArn=arn, Protocol="email", Endpoint=ADDRESS)
    # Deleting what is not there is no error: SNS API, DeleteTopic.
    sns.delete_topic(TopicArn=arn)


def test_a_topics_name_has_its_letters(sns):
    refused("InvalidParameter", sns.create_topic, Name="no spaces, please")


def test_an_empty_message_is_refused(aws):
    sns = aws.client("sns")
    arn = sns.create_topic(Name="proof-empty")["TopicArn"]
    refused("InvalidParameter", sns.publish, TopicArn=arn, Message="")
    sns.delete_topic(TopicArn=arn)


def test_a_subject_is_one_line_of_a_hundred_characters_at_most(aws):
    sns = aws.client("sns")
    topic = sns.create_topic(Name=f"proof-{uuid.uuid4().hex[:12]}")["TopicArn"]
    sns.publish(TopicArn=topic, Subject="x" * 100, Message="text")
    for subject in ("x" * 101, "two\nlines", "späte Patches"):
        refused("InvalidParameter", sns.publish, TopicArn=topic, Subject=subject, Message="text")
    # A message for each protocol needs one for all others.
    arguments = {"TopicArn": topic, "MessageStructure": "json"}
    sns.publish(Message='{"default": "text"}', **arguments)
    refused("InvalidParameter", sns.publish, Message='{"email": "text"}', **arguments)
    sns.delete_topic(TopicArn=topic)


def test_what_was_published_is_told_with_its_attributes(aws, sim):
    sns = aws.client("sns")
    topic = sns.create_topic(Name=fresh("kept"))["TopicArn"]
    given = {
        "kind": {"DataType": "String", "StringValue": "report"},
        "raw": {"DataType": "Binary", "BinaryValue": b"bytes"},
    }
    sns.publish(TopicArn=topic, Message="one", MessageAttributes=given)
    entry = {"Id": "two", "Message": "two", "MessageAttributes": given}
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=[entry])
    with urllib.request.urlopen(f"{sim.control_endpoint}/messages") as answer:
        kept = [it for it in json.load(answer) if it["topic"] == topic]
    expected = {"kind": "report", "raw": base64.b64encode(b"bytes").decode()}
    assert [(it["message"], it["attributes"]) for it in kept] == [
        ("one", expected),
        ("two", expected),
    ]
    sns.delete_topic(TopicArn=topic)
