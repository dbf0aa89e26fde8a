/** Clients that are compiled: in Java, and in Go. */
import { clients } from './client.ts';
import { pipeline, tell } from './stories.ts';

const { go, java, spring } = clients;

tell([
  { title: 'AWS SDK for Go v2', client: go, command: './orders', says: pipeline },
  {
    title: 'AWS SDK for Java v2',
    client: java,
    command: `java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp 'target/classes:lib/*' Orders`,
    says: pipeline,
  },
  {
    title: 'Spring Cloud AWS',
    client: spring,
    command: `java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp 'target/classes:lib/*' orders.Orders`,
    says: 'orders: 28 sent, 2 failures, 1 dead, 1 redriven, 5 events in order',
  },
]);
