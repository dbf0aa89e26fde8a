/**
 * The access keys in memory, since every request asks for one; and who is told when a key ends or changes.
 *
 * What another thread changed is read anew when storage tells of it.
 */
import type { Clock } from '../clock.ts';
import { principalOf, type StoredKey, type StoredSecret } from '../domain/access-key.ts';
import { Fault } from '../domain/errors.ts';
import { limits } from '../domain/limits.ts';
import type { Principal } from '../domain/principal.ts';
import type { Seal } from '../domain/seal.ts';
import type { Storage } from '../storage/port.ts';

/** A secret with which requests are signed. */
export type SigningSecret = {
  /** The same for the same secret, whatever key it belongs to: what is derived from it can be kept under it. */
  readonly id: string;
  /** @throws credentialsInvalid when it was sealed under another master key */
  readonly open: () => string;
};
export type Signer = { readonly principal: Principal; readonly secrets: readonly SigningSecret[] };

/** A key as it is asked for: as it is stored, and as one who signs, in the order of its stored secrets. */
export type KnownKey = {
  readonly stored: StoredKey;
  readonly principal: Principal;
  readonly secrets: readonly (SigningSecret & Pick<StoredSecret, 'expiresAt'>)[];
};

export class KeyBook {
  readonly #storage: Pick<Storage, 'listKeys' | 'findKey' | 'onChange'>;
  readonly #clock: Pick<Clock, 'at'>;
  readonly #seal: Pick<Seal, 'open'>;
  readonly #watchers = new Map<string, Set<() => void>>();
  #keys: Map<string, KnownKey> | undefined;

  constructor({ storage, clock, seal }: { storage: Storage; clock: Clock; seal: Seal }) {
    this.#storage = storage;
    this.#clock = clock;
    this.#seal = seal;
    // Also told of the changes made here, which are read a second time: they are rare.
    storage.onChange((change) => {
      if (change.of === 'key' && this.#keys !== undefined) void this.#readAnew(change.keyId);
    });
  }

  /** Reads all keys; to be awaited before anything is asked. */
  async load(): Promise<void> {
    const loaded = new Map<string, KnownKey>();
    let cursor: string | undefined;
    do {
      const page = await this.#storage.listKeys({ account: null, limit: limits.pageItemsMax, cursor });
      for (const key of page.items) loaded.set(key.keyId, this.#known(key));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    this.#keys = loaded;
  }

  get size(): number {
    return this.#loaded().size;
  }

  get(keyId: string): KnownKey | undefined {
    return this.#loaded().get(keyId);
  }

  stored(): readonly StoredKey[] {
    return Array.from(this.#loaded().values(), ({ stored }) => stored);
  }

  /** To be called when it is stored, so that what was answered holds across a restart. */
  remember(key: StoredKey): StoredKey {
    this.#loaded().set(key.keyId, this.#known(key));
    this.#tell(key.keyId);
    return key;
  }

  forget(keyId: string): void {
    this.#loaded().delete(keyId);
    this.#tell(keyId);
  }

  /** Calls back once when the key ends or changes. @returns a function that ends the watch */
  watch(keyId: string, changed: () => void): () => void {
    const line = this.#watchers.get(keyId) ?? new Set();
    this.#watchers.set(keyId, line.add(changed));
    const expiresAt = this.get(keyId)?.stored.expiresAt ?? null;
    const cancel = expiresAt === null ? undefined : this.#clock.at(expiresAt, changed);
    return () => {
      cancel?.();
      line.delete(changed);
      if (line.size === 0 && this.#watchers.get(keyId) === line) this.#watchers.delete(keyId);
    };
  }

  #tell(keyId: string): void {
    const told = [...(this.#watchers.get(keyId) ?? [])];
    for (const changed of told) changed();
  }

  async #readAnew(keyId: string): Promise<void> {
    const key = await this.#storage.findKey({ keyId });
    if (key === null) this.forget(keyId);
    else this.remember(key);
  }

  /** Asked before the keys are read, an empty table would mean an open server. */
  #loaded(): Map<string, KnownKey> {
    if (this.#keys === undefined) throw new Error('The access keys have not been loaded.');
    return this.#keys;
  }

  #known(stored: StoredKey): KnownKey {
    const secrets = stored.secrets.map(({ hash, sealed, expiresAt }) => ({
      id: Buffer.from(hash).toString('latin1'),
      expiresAt,
      open: () => {
        const opened = this.#seal.open(sealed, stored.keyId);
        if (opened === undefined) throw Fault.of('credentialsInvalid', {});
        return opened;
      },
    }));
    return { stored, principal: principalOf(stored), secrets };
  }
}
