/** Who asks: the account whose queues a request sees. Access keys and scopes will hang here. */
export type Principal = { readonly account: string };

/** The account of a server that is not told another one, as local SQS emulators have it. */
export const defaultAccount = '000000000000';
