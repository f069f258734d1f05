import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Makes messages of Kafka's own classes from JSON and tells their bytes: one line in, one line out.
 *
 * "write CLASS VERSION JSON" -> "ok HEX"; "headers API_KEY VERSION" -> "ok REQUEST_HEADER RESPONSE_HEADER".
 * Anything that goes wrong -> "error CLASS: MESSAGE".
 */
public class Codec {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = "ok " + answer(line);
            } catch (InvocationTargetException e) {
                answer = "error " + e.getCause();
            } catch (Exception e) {
                answer = "error " + e;
            }
            out.println(answer.replace('\n', ' '));
            out.flush();
        }
    }

    private static String answer(String line) throws Exception {
        String[] words = line.split(" ", 4);
        short version = Short.parseShort(words[2]);
        if (words[0].equals("headers")) {
            ApiMessageType api = ApiMessageType.fromApiKey(Short.parseShort(words[1]));
            return api.requestHeaderVersion(version) + " " + api.responseHeaderVersion(version);
        }
        JsonNode json = MAPPER.readTree(words[3]);
        Message message = (Message) Class.forName("org.apache.kafka.common.message." + words[1] + "JsonConverter")
            .getMethod("read", JsonNode.class, short.class).invoke(null, json, version);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        StringBuilder hex = new StringBuilder();
        for (byte b : buffer.array()) {
            hex.append(String.format("%02x", b));
        }
        return hex.toString();
    }
}
