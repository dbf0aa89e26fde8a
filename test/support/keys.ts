/** The API of a server with access keys, asked under different ones. */
import { defaultAccount, everything, openPrincipal, type Scope } from '../../src/domain/principal.ts';
import { type Answer, type Api, type ApiOptions, type Ask, openApi } from './api.ts';

type Method = Parameters<Api['call']>[0];

/** Somebody with a key. */
export type Holder = {
  readonly keyId: string;
  readonly secret: string;
  readonly bearer: string;
  readonly call: (method: Method, url: string, ask?: Ask) => Promise<Answer>;
  /** The status alone. */
  readonly status: (method: Method, url: string, ask?: Ask) => Promise<number>;
};

export type KeyedApi = Api & {
  /** May do everything. */
  readonly admin: Holder;
  /** Somebody with a new key. */
  readonly holder: (scopes: readonly Scope[], account?: string) => Promise<Holder>;
};

/** On an address that others reach, where nobody is let in without a key. */
export const guarded = { account: defaultAccount, auth: 'keys', isLoopback: false, allowedHosts: [] } as const;

export async function openKeyedApi(options: ApiOptions = {}): Promise<KeyedApi> {
  const api = await openApi({ access: guarded, ...options });
  const holder: KeyedApi['holder'] = async (scopes, account = defaultAccount) => {
    const ask = { name: 'test', scopes, expiresAt: null };
    const { key, secret, bearer } = await api.broker.keys.create(openPrincipal(account), ask);
    const call: Holder['call'] = (method, url, ask = {}) =>
      api.call(method, url, { ...ask, headers: { authorization: `Bearer ${bearer}`, ...ask.headers } });
    return { keyId: key.keyId, secret, bearer, call, status: async (...ask) => (await call(...ask)).status };
  };
  return { ...api, admin: await holder(everything), holder };
}

export const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
