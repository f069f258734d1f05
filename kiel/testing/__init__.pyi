from typing import Any

from kiel.testing.errors import FetchError as FetchError
from kiel.testing.errors import HarnessError as HarnessError
from kiel.testing.errors import MissingToolError as MissingToolError
from kiel.testing.errors import StartError as StartError
from kiel.testing.errors import TopicError as TopicError
from kiel.testing.fake.kafka import FakeKafka as FakeKafka
from kiel.testing.kafka import Kafka as Kafka

Authority: Any
SchemaRegistry: Any
ZooKeeper: Any
jars: Any
java_helper: Any
