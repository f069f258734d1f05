import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.GroupSubscription;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * Shares partitions out by Kafka's own assignors: one line in, one line out.
 *
 * "assign NAME TOPIC=COUNT,... MEMBER/INSTANCE/HEX ..." (HEX is a subscription, INSTANCE "-" for none) -> "ok MEMBER=TOPIC:ID,..."
 * "subscribe NAME VERSION GENERATION TOPIC,... TOPIC:ID,..." -> "ok HEX", the subscription of a member that was given these.
 * Anything that goes wrong -> "error CLASS: MESSAGE".
 */
public class Assignors {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                String[] words = line.split(" ");
                answer = words[0].equals("assign") ? assign(words) : subscribe(words);
            } catch (Throwable e) {
                answer = "error " + e;
            }
            out.println(answer.replace('\n', ' '));
            out.flush();
        }
    }

    private static ConsumerPartitionAssignor assignor(String name) {
        switch (name) {
            case "range": return new RangeAssignor();
            case "roundrobin": return new RoundRobinAssignor();
            case "sticky": return new StickyAssignor();
            default: return new CooperativeStickyAssignor();
        }
    }

    private static String assign(String[] words) {
        Node node = new Node(0, "host", 9092);
        List<PartitionInfo> infos = new ArrayList<>();
        for (String topic : list(words[2])) {
            String[] pair = topic.split("=");
            for (int id = 0; id < Integer.parseInt(pair[1]); id++)
                infos.add(new PartitionInfo(pair[0], id, node, new Node[] {node}, new Node[] {node}));
        }
        Cluster cluster = new Cluster("c", List.of(node), infos, Set.of(), Set.of());
        Map<String, Subscription> subscriptions = new HashMap<>();
        for (int at = 3; at < words.length; at++) {
            String[] member = words[at].split("/");
            Subscription subscription = ConsumerProtocol.deserializeSubscription(ByteBuffer.wrap(HEX.parseHex(member[2])));
            subscription.setGroupInstanceId(member[1].equals("-") ? Optional.empty() : Optional.of(member[1]));
            subscriptions.put(member[0], subscription);
        }
        StringBuilder answer = new StringBuilder("ok");
        Map<String, Assignment> shares = assignor(words[1]).assign(cluster, new GroupSubscription(subscriptions)).groupAssignment();
        for (Map.Entry<String, Assignment> share : shares.entrySet()) {
            List<String> partitions = new ArrayList<>();
            for (TopicPartition partition : share.getValue().partitions())
                partitions.add(partition.topic() + ":" + partition.partition());
            answer.append(' ').append(share.getKey()).append('=').append(String.join(",", partitions));
        }
        return answer.toString();
    }

    private static String subscribe(String[] words) {
        ConsumerPartitionAssignor assignor = assignor(words[1]);
        List<TopicPartition> owned = new ArrayList<>();
        for (String word : list(words[5])) {
            String[] pair = word.split(":");
            owned.add(new TopicPartition(pair[0], Integer.parseInt(pair[1])));
        }
        int generation = Integer.parseInt(words[3]);
        assignor.onAssignment(new Assignment(owned), new ConsumerGroupMetadata("g", generation, "m", Optional.empty()));
        ByteBuffer data = assignor.subscriptionUserData(new TreeSet<>(list(words[4])));
        boolean keeps = words[1].equals("cooperative-sticky");
        Subscription subscription = new Subscription(
            list(words[4]), data, keeps ? owned : Collections.emptyList(), generation, Optional.of("rack"));
        ByteBuffer bytes = ConsumerProtocol.serializeSubscription(subscription, Short.parseShort(words[2]));
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return "ok " + HEX.formatHex(copy);
    }

    private static List<String> list(String word) {
        return word.equals("-") ? Collections.emptyList() : List.of(word.split(","));
    }
}
