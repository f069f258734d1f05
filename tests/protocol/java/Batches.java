import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.TimestampType;

/**
 * Writes and reads message sets and record batches by Kafka's own classes: one line in, one line out.
 *
 * "write MAGIC CODEC TIMESTAMP_TYPE LOG_APPEND_TIME BASE_OFFSET PRODUCER_ID EPOCH SEQUENCE TRANSACTIONAL RECORD..." and
 * "control BASE_OFFSET TIMESTAMP PRODUCER_ID EPOCH TYPE" -> "ok HEX"; "read HEX" -> "ok" and a word for each batch and record.
 * A record is OFFSET:TIMESTAMP:KEY:VALUE:NAME=VALUE,NAME=VALUE with hex for bytes and "-" for null.
 * Anything that goes wrong -> "error CLASS: MESSAGE".
 */
public class Batches {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                String[] words = line.split(" ");
                if (words[0].equals("write")) {
                    answer = "ok " + hex(write(words));
                } else if (words[0].equals("control")) {
                    answer = "ok " + hex(control(words));
                } else {
                    answer = "ok" + read(bytes(words[1]));
                }
            } catch (Throwable e) {
                answer = "error " + e;
            }
            out.println(answer.replace('\n', ' '));
            out.flush();
        }
    }

    private static ByteBuffer write(String[] words) {
        CompressionType codec = CompressionType.forId(Integer.parseInt(words[2]));
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(4096), Byte.parseByte(words[1]), Compression.of(codec).build(),
            words[3].equals("1") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME,
            Long.parseLong(words[5]), Long.parseLong(words[4]), Long.parseLong(words[6]),
            Short.parseShort(words[7]), Integer.parseInt(words[8]), words[9].equals("1"), false, 7);
        for (int i = 10; i < words.length; i++) {
            String[] parts = words[i].split(":", -1);
            List<Header> headers = new ArrayList<>();
            if (!parts[4].isEmpty()) {
                for (String pair : parts[4].split(",")) {
                    String[] both = pair.split("=", -1);
                    headers.add(new RecordHeader(
                        new String(bytes(both[0]), StandardCharsets.UTF_8), bytes(both[1])));
                }
            }
            builder.appendWithOffset(
                Long.parseLong(parts[0]), Long.parseLong(parts[1]), bytes(parts[2]), bytes(parts[3]),
                headers.toArray(new Header[0]));
        }
        return builder.build().buffer();
    }

    private static ByteBuffer control(String[] words) {
        return MemoryRecords.withEndTransactionMarker(
            Long.parseLong(words[1]), Long.parseLong(words[2]), 3, Long.parseLong(words[3]),
            Short.parseShort(words[4]),
            new EndTransactionMarker(ControlRecordType.fromTypeId(Short.parseShort(words[5])), 9)).buffer();
    }

    private static String read(byte[] data) {
        StringBuilder out = new StringBuilder();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(data)).batches()) {
            batch.ensureValid();
            out.append(" batch:").append(batch.lastOffset()).append(':').append(batch.magic())
                .append(':').append(batch.compressionType().id)
                .append(':').append(batch.isTransactional() ? 1 : 0)
                .append(':').append(batch.producerId()).append(':').append(batch.producerEpoch())
                .append(':').append(batch.baseSequence()).append(':').append(batch.maxTimestamp());
            for (Record record : batch) {
                record.ensureValid();
                out.append(' ').append(record.offset()).append(':').append(record.timestamp()).append(':')
                    .append(hex(record.key())).append(':').append(hex(record.value())).append(':');
                String comma = "";
                for (Header header : record.headers()) {
                    out.append(comma).append(HEX.formatHex(header.key().getBytes(StandardCharsets.UTF_8)))
                        .append('=').append(header.value() == null ? "-" : HEX.formatHex(header.value()));
                    comma = ",";
                }
            }
        }
        return out.toString();
    }

    private static byte[] bytes(String hex) {
        return hex.equals("-") ? null : HEX.parseHex(hex);
    }

    private static String hex(ByteBuffer buffer) {
        if (buffer == null) {
            return "-";
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return HEX.formatHex(bytes);
    }
}
