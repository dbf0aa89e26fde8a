package orders;

import io.awspring.cloud.sqs.annotation.SqsListener;
import io.awspring.cloud.sqs.operations.SqsTemplate;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.messaging.Message;
import org.springframework.messaging.support.MessageBuilder;

/** Spring Cloud AWS: a listener handles orders, one order fails once and comes again, a FIFO listener keeps the order. */
@SpringBootApplication
public class Orders {
  public record Order(int order, String customer) {}

  final CountDownLatch handled = new CountDownLatch(12);
  final CountDownLatch events = new CountDownLatch(5);
  final List<String> order = Collections.synchronizedList(new ArrayList<>());
  final AtomicInteger attempts = new AtomicInteger();

  @SqsListener(value = "orders", messageVisibilitySeconds = "1", pollTimeoutSeconds = "1")
  void handle(Order order) {
    if (order.order() == 7 && attempts.incrementAndGet() == 1) throw new IllegalStateException("the card service is down");
    handled.countDown();
  }

  @SqsListener(value = "orders.fifo", pollTimeoutSeconds = "1")
  void event(String event) {
    order.add(event);
    events.countDown();
  }

  @Bean
  CommandLineRunner send(SqsTemplate sqs) {
    return args -> {
      sqs.send("orders", new Order(0, "Åse"));
      sqs.send("orders", new Order(1, "Bo"));
      List<Message<Order>> batch = IntStream.range(2, 12)
          .mapToObj(order -> MessageBuilder.withPayload(new Order(order, "Åse")).build()).toList();
      int sent = 2 + sqs.sendMany("orders", batch).successful().size();
      for (int i = 0; i < 5; i++) {
        var event = "event-" + i;
        sqs.send(to -> to.queue("orders.fifo").payload(event).messageGroupId("a").messageDeduplicationId(event));
      }
      if (!handled.await(60, TimeUnit.SECONDS) || !events.await(60, TimeUnit.SECONDS)) {
        throw new AssertionError(handled.getCount() + " orders and " + events.getCount() + " events are missing");
      }
      if (!order.equals(List.of("event-0", "event-1", "event-2", "event-3", "event-4"))) throw new AssertionError(order);
      System.out.printf("orders: %d sent, 12 handled, %d retried, %d events in order%n", sent, attempts.get() - 1, order.size());
    };
  }

  public static void main(String[] args) {
    System.exit(SpringApplication.exit(SpringApplication.run(Orders.class, args)));
  }
}
