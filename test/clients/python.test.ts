/** Clients in Python. */
import { expect, it } from 'vitest';
import { clients, isLeftOut, story } from './client.ts';
import { pipeline, tell } from './stories.ts';

const { python, pythonQuery, celery } = clients;

tell([
  { title: 'boto3', client: python, command: 'python orders.py', says: pipeline },
  { title: 'boto3 1.28 (Query)', client: pythonQuery, command: 'python orders.py', says: pipeline },
  {
    title: 'AWS CLI',
    client: python,
    command: './orders.sh',
    says: 'orders: 7 sent, 7 deleted, 1 dead, 1 redriven, 1 duplicates',
    isSlow: true,
  },
  {
    title: 'Celery',
    client: celery,
    command: 'python orders.py',
    says: 'orders: 3 charged, 1 retried, 1 dead, 1 redriven, 3 events in order',
  },
]);

it.for([
  { client: python, protocol: 'json' },
  { client: pythonQuery, protocol: 'query' },
])('$client.name speaks $protocol', async ({ client, protocol }, { skip }) => {
  skip(isLeftOut(client), 'SLUICE_TEST_WITHOUT');
  const words = `import boto3; print(boto3.client('sqs').meta.service_model.metadata['protocol'])`;
  expect(await story(client, `python -c "${words}"`, 'http://localhost')).toBe(protocol);
});
