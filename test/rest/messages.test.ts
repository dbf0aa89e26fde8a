import { describe, expect, it } from 'vitest';
import { type Api, expectProblem, expectRefusal, nth, openApi } from '../support/api.ts';

const url = '/v1/queues/orders/messages';

async function withThree(): Promise<Api> {
  const api = await openApi();
  await api.queue('orders');
  await api.send('orders', 'held');
  await api.receive('orders');
  await api.send('orders', 'free');
  await api.send('orders', 'later', '?delay=1m');
  return api;
}

const bodies = async (api: Api, query = '') => (await api.get(url + query)).json.items.map(({ body }) => body);

describe('a peek', () => {
  it('shows messages with their states and changes nothing', async () => {
    const api = await withThree();
    const before = await api.look('orders');
    const { json } = await api.get(url);
    const states = Object.fromEntries(
      json.items.map((item) => [String(item.body), (item as unknown as { state: string }).state]),
    );
    expect(states).toEqual({ held: 'inFlight', free: 'available', later: 'delayed' });
    expect(await api.look('orders')).toEqual(before);
  });

  it.each([
    ['available', ['free']],
    ['inFlight', ['held']],
    ['delayed', ['later']],
  ])('shows those %s alone', async (state, expected) => {
    expect(await bodies(await withThree(), `?state=${state}`)).toEqual(expected);
  });

  it('goes page by page', async () => {
    const api = await withThree();
    const seen: unknown[] = [];
    for (let cursor = ''; ; ) {
      const { json } = await api.get(`${url}?limit=2${cursor}`);
      seen.push(...json.items.map(({ body }) => body));
      if (json.nextCursor === undefined) break;
      cursor = `&cursor=${encodeURIComponent(json.nextCursor)}`;
    }
    expect(seen.sort()).toEqual(['free', 'held', 'later']);
  });

  it.each(['limit=0', 'limit=101', 'state=hidden', 'cursor=', 'cursor=%00', 'cursor=nonsense'])(
    'refuses %s',
    async (query) => {
      const api = await withThree();
      await expectRefusal(api, 'orders', () => api.get(`${url}?${query}`), [
        400,
        'invalid_argument',
        nth(query.split('=')),
      ]);
    },
  );

  it('takes the largest page', async () => {
    expect(await bodies(await withThree(), '?limit=100')).toHaveLength(3);
  });
});

describe('one message', () => {
  it('is found by its id', async () => {
    const api = await withThree();
    const messageId = await api.send('orders', 'x');
    expect((await api.get(`${url}/${messageId}`)).json).toMatchObject({ messageId, state: 'available', body: 'x' });
  });

  it('is removed by an operator, held or not', async () => {
    const api = await withThree();
    const held = nth((await api.get(`${url}?state=inFlight`)).json.items);
    expect((await api.delete(`${url}/${held.messageId}`)).status).toBe(204);
    expect(await api.counts('orders')).toEqual([1, 0, 1]);
    expectProblem(await api.get(`${url}/${held.messageId}`), 404, 'message_not_found');
    expectProblem(await api.delete(`${url}/${held.messageId}`), 404, 'message_not_found');
  });

  it.each(['x', '1', "';drop table messages", 'x'.repeat(10_000)])('is not found as %.30s', async (id) => {
    const api = await withThree();
    const path = `${url}/${encodeURIComponent(id)}`;
    await expectRefusal(api, 'orders', () => api.delete(path), [400, 'invalid_argument', 'messageId']);
    expectProblem(await api.get(path), 400, 'invalid_argument', 'messageId');
  });
});
