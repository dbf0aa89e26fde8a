/** The access key of servers that are asked for one: declared by the server under test, used by who drives it. */
export const benchKey = { keyId: 'SLUICEBENCHBENCHBENCH', secret: 'bench-secret-of-no-other-use' } as const;

/** For `fetch`: heeded where keys are in force, ignored elsewhere. */
export const benchAuthorization = `Basic ${btoa(`${benchKey.keyId}:${benchKey.secret}`)}`;
