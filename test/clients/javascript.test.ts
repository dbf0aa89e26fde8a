/** Clients in JavaScript. */
import { clients } from './client.ts';
import { pipeline, tell } from './stories.ts';

const { js, jsQuery, sqsConsumer } = clients;

tell([
  { title: 'AWS SDK for JavaScript v3', client: js, command: 'node orders.mjs', says: pipeline },
  {
    title: 'AWS SDK for JavaScript v3, every action',
    client: js,
    command: 'node actions.mjs',
    says: 'actions: 23 done, 17 errors',
  },
  {
    title: 'AWS SDK for JavaScript v3, edges',
    client: js,
    command: 'node edges.mjs',
    says: 'edges: 3 big bodies, 5 polls left, 40 polls answered',
  },
  {
    title: 'AWS SDK for JavaScript v3 with a wrong clock',
    client: js,
    command: 'node --import ./wrong-clock.mjs orders.mjs',
    says: pipeline,
  },
  {
    title: 'AWS SDK for JavaScript v2 (Query, at the addresses of queues)',
    client: jsQuery,
    command: 'node orders.mjs',
    says: pipeline,
  },
  {
    title: 'sqs-producer and sqs-consumer',
    client: sqsConsumer,
    command: 'node orders.mjs',
    says: 'orders: 26 sent, 26 handled, 2 failures, 1 dead, 1 redriven, 3 held by a heartbeat, 4 events in order',
  },
]);
