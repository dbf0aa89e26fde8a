package orders;

import io.awspring.cloud.sqs.annotation.SqsListener;
import io.awspring.cloud.sqs.annotation.SqsListenerAcknowledgementMode;
import io.awspring.cloud.sqs.listener.Visibility;
import io.awspring.cloud.sqs.listener.acknowledgement.Acknowledgement;
import io.awspring.cloud.sqs.operations.SqsTemplate;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
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
import software.amazon.awssdk.services.sqs.SqsAsyncClient;
import software.amazon.awssdk.services.sqs.model.QueueAttributeName;

/**
 * The order pipeline with Spring Cloud AWS: listeners handle orders, invoices in batches and events of a FIFO queue; one
 * order is poison until it is in the dead-letter queue, and is brought back by the client that Spring itself uses.
 */
@SpringBootApplication
public class Orders {
  public record Order(int order, String customer) {}

  static final int POISON = 7;

  final CountDownLatch handled = new CountDownLatch(12);
  final CountDownLatch invoiced = new CountDownLatch(10);
  final CountDownLatch eventsHandled = new CountDownLatch(5);
  final List<String> events = Collections.synchronizedList(new ArrayList<>());
  final AtomicInteger failures = new AtomicInteger();
  volatile boolean isRepaired = false;

  static void check(boolean holds, Object what) {
    if (!holds) throw new AssertionError(String.valueOf(what));
  }

  static void await(CountDownLatch latch, String what) throws InterruptedException {
    check(latch.await(60, TimeUnit.SECONDS), latch.getCount() + " " + what + " are missing");
  }

  /** Polls are short, since Spring waits for their end when it stops. Gives a failed order back by a visibility timeout of 0. */
  @SqsListener(value = "orders", pollTimeoutSeconds = "1")
  void handle(Order order, Visibility visibility) {
    if (order.order() == POISON && !isRepaired) {
      failures.incrementAndGet();
      visibility.changeTo(0);
      throw new IllegalStateException("the card service is down");
    }
    handled.countDown();
  }

  @SqsListener(value = "invoices", pollTimeoutSeconds = "1")
  void invoice(List<Order> orders) {
    orders.forEach(order -> invoiced.countDown());
  }

  @SqsListener(value = "orders.fifo", pollTimeoutSeconds = "1", acknowledgementMode = SqsListenerAcknowledgementMode.MANUAL)
  void event(String event, Acknowledgement acknowledgement) {
    events.add(event);
    acknowledgement.acknowledge();
    eventsHandled.countDown();
  }

  static List<Message<Order>> batch(int from, int to) {
    return IntStream.range(from, to).mapToObj(order -> MessageBuilder.withPayload(new Order(order, "Åse")).build()).toList();
  }

  @Bean
  CommandLineRunner tell(SqsTemplate sqs, SqsAsyncClient client) {
    return args -> {
      // Spring has made the queues of the listeners. Orders that are received twice without success go to a dead-letter queue.
      var orders = urlOf(client, "orders");
      var dead = client.createQueue(r -> r.queueName("orders-dlq")).join().queueUrl();
      var deadArn = attributeOf(client, dead, QueueAttributeName.QUEUE_ARN);
      client.setQueueAttributes(r -> r.queueUrl(orders).attributesWithStrings(Map.of("RedrivePolicy",
          "{\"deadLetterTargetArn\":\"" + deadArn + "\",\"maxReceiveCount\":2}"))).join();

      // Send one, and eleven and ten in batches.
      sqs.send("orders", new Order(0, "Åse"));
      int sent = 1 + sqs.sendMany("orders", batch(1, 11)).successful().size()
          + sqs.sendMany("orders", batch(11, 12)).successful().size()
          + sqs.sendMany("invoices", batch(0, 10)).successful().size();
      await(invoiced, "invoices");

      // The poison is in the dead-letter queue, and a move task brings it back.
      var buried = client.receiveMessage(r -> r.queueUrl(dead).waitTimeSeconds(20)).join().messages().get(0);
      check(buried.body().contains("\"order\":" + POISON), buried);
      client.changeMessageVisibility(r -> r.queueUrl(dead).receiptHandle(buried.receiptHandle()).visibilityTimeout(0)).join();
      isRepaired = true;
      client.startMessageMoveTask(r -> r.sourceArn(deadArn)).join();
      await(handled, "orders");

      // An order that is sent during a long poll ends it.
      client.createQueue(r -> r.queueName("late")).join();
      var before = Instant.now();
      var waiting = sqs.receiveAsync(from -> from.queue("late").pollTimeout(Duration.ofSeconds(20)), Order.class);
      sqs.send("late", new Order(12, "Bo"));
      sent++;
      check(waiting.join().orElseThrow().getPayload().order() == 12, "another order came");
      check(Duration.between(before, Instant.now()).toSeconds() < 15, "the long poll did not end when an order came");

      // FIFO: a duplicate is not stored, and a group is handed out in order.
      for (int i = 0; i < 5; i++) sendEvent(sqs, "event-" + i);
      sendEvent(sqs, "event-0");
      sent += 5;
      await(eventsHandled, "events");
      check(events.equals(List.of("event-0", "event-1", "event-2", "event-3", "event-4")), events);

      for (var queue : List.of("orders", "invoices", "late", "orders.fifo", "orders-dlq")) awaitEmpty(client, urlOf(client, queue));
      System.out.printf("orders: %d sent, %d failures, 1 dead, 1 redriven, %d events in order%n",
          sent, failures.get(), events.size());
    };
  }

  static void sendEvent(SqsTemplate sqs, String event) {
    sqs.send(to -> to.queue("orders.fifo").payload(event).messageGroupId("a").messageDeduplicationId(event));
  }

  static String urlOf(SqsAsyncClient client, String queue) {
    return client.getQueueUrl(r -> r.queueName(queue)).join().queueUrl();
  }

  static String attributeOf(SqsAsyncClient client, String queue, QueueAttributeName name) {
    return client.getQueueAttributes(r -> r.queueUrl(queue).attributeNames(name)).join().attributes().get(name);
  }

  /** Listeners delete in batches, a second after they have handled. */
  static void awaitEmpty(SqsAsyncClient client, String queue) {
    var names = List.of(QueueAttributeName.APPROXIMATE_NUMBER_OF_MESSAGES,
        QueueAttributeName.APPROXIMATE_NUMBER_OF_MESSAGES_NOT_VISIBLE);
    for (int tries = 0; tries < 2000; tries++) {
      if (names.stream().allMatch(name -> attributeOf(client, queue, name).equals("0"))) return;
    }
    throw new AssertionError(queue + " is not empty");
  }

  public static void main(String[] args) {
    try {
      System.exit(SpringApplication.exit(SpringApplication.run(Orders.class, args)));
    } catch (RuntimeException told) {
      // Spring has written why. Threads of the client would keep the process for some seconds more.
      System.exit(1);
    }
  }
}
