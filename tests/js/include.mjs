// Getting a signed call into a block, for the programs beside this one.

const INCLUSION_TIMEOUT_MS = 90_000; // thirty times the dev chain's block time

/** Signs and sends `call`; resolves to where a best block has it, and its events. */
export function include(api, call, signer, { limitMs = INCLUSION_TIMEOUT_MS, ...options } = {}) {
  return new Promise((resolve, reject) => {
    let stop;
    const timer = setTimeout(() => reject(new Error(`not in a block after ${limitMs} ms`)), limitMs);
    const finish = (settle, value) => {
      clearTimeout(timer);
      stop?.();
      settle(value);
    };
    call
      .signAndSend(signer, options, ({ status, events, dispatchError }) => {
        if (status.isInvalid || status.isDropped || status.isUsurped) {
          finish(reject, new Error(`the pool reports the transaction as ${status.type}`));
        } else if (status.isInBlock) {
          if (dispatchError) finish(reject, new Error(`the call failed: ${describe(api, dispatchError)}`));
          else finish(resolve, { block: status.asInBlock, events });
        }
      })
      .then((unsubscribe) => { stop = unsubscribe; }, (error) => finish(reject, error));
  });
}

/** A dispatch error in the words of the runtime's metadata. */
export function describe(api, error) {
  if (!error.isModule) return error.toString();
  const { section, name, docs } = api.registry.findMetaError(error.asModule);
  return `${section}.${name}: ${docs.join(' ')}`;
}
