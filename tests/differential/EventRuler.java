import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import software.amazon.event.ruler.Machine;

/** Asks event-ruler: a line {"pattern": text, "event": text} in, one of true, false, invalid out. */
public class EventRuler {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper json = new ObjectMapper();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode question = json.readTree(line);
            out.println(answer(question.get("pattern").asText(), question.get("event").asText()));
        }
        out.flush();
    }

    private static String answer(String pattern, String event) throws Exception {
        // A path that is constrained twice is refused, as we refuse it, instead of taking the last one.
        Machine machine = Machine.builder().withOverridesForDuplicateRules(false).build();
        try {
            machine.addRule("it", pattern);
        } catch (Exception refused) {
            return "invalid";
        }
        return String.valueOf(!machine.rulesForJSONEvent(event).isEmpty());
    }
}
