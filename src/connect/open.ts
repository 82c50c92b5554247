import type { Duplex } from 'node:stream'
import { type Client, openClient } from '../../lib/client.ts'
import { hearHostKeys, hostKeysName } from '../../lib/connection/requests/hostkeys.ts'
import { startKeepalive } from '../../lib/connection/requests/keepalive.ts'
import { watchTimeouts } from '../../lib/connection/timeouts.ts'
import { AuthenticationError, ConnectionLostError, DisconnectReason } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { Ignore } from '../../lib/transport/messages.ts'
import type { HostKeyEvidence } from '../../lib/transport/transport.ts'
import type { ClientAuthentication } from '../../lib/userauth/client.ts'
import { softwareVersion } from '../command/version.ts'
import { knownKeyTypes, preferKnownTypes } from '../hostkeys/preference.ts'
import { hostKeyVerifier, type Judgement, lookedUp, type VerifierOptions } from '../hostkeys/verifier.ts'
import { joinStream } from '../net/socket.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'
import { algorithmsOf } from './algorithms.ts'
import { credentialsOf } from './credentials.ts'
import { distrust } from './distrust.ts'
import type { OpenOptions } from './options.ts'
import { verificationOf } from './verification.ts'
import { reach } from './way.ts'

export interface OpenedConnection {
  readonly client: Client
  readonly stream: Duplex
  /** Where the stream goes; undefined behind a proxy. */
  readonly address: string | undefined
  readonly authentication: ClientAuthentication
  /** `distrusted`: nothing may be forwarded. */
  readonly judgement: Judgement
  /** Says goodbye and ends the connection, with everything that carries it. */
  close(): void
}

/** Time that the other side has to end the stream after us, in milliseconds. */
const lingering = 2000

/** Reaches the host that the configuration names, checks it, and logs in. @throws SshError */
export async function openConnection(options: OpenOptions): Promise<OpenedConnection> {
  const { config, log } = options
  const { stream, address } = await (options.way ?? reach(options))
  const verification = verificationOf(options, address)
  const state: { judgement: Judgement; evidence?: HostKeyEvidence } = { judgement: 'new' }
  const credentials = { ...credentialsOf(options, () => state.evidence), ...options.credentials }
  const methods = [...credentials.methods]
  const handshake = handshakeTimer(config, error => {
    if (client.transport.phase === 'identification') log.error('Connection timed out during banner exchange')
    client.ended(error)
    stream.destroy()
  })
  const verify = hostKeyVerifier({
    ...verification,
    accepted(judgement) {
      state.judgement = judgement
      if (judgement === 'distrusted') distrust(config, methods, log)
    },
  })
  const link = joinStream(stream)
  const client = openClient({
    transport: {
      algorithms: algorithmsOf({
        kex: config.kexAlgorithms,
        hostKey: await orderedHostKeyAlgorithms(config, verification),
        cipher: config.ciphers,
        mac: config.macs,
        compression: config.compression ? 'wanted' : 'possible',
      }),
      softwareVersion: softwareVersion(),
      ...(config.versionAddendum && { versionComment: config.versionAddendum }),
      verifyHostKey(proof) {
        // The user may take as long as he likes for his answer.
        handshake.stop()
        // Of the first exchange, which names the session.
        if (proof.evidence) state.evidence ??= proof.evidence
        return verify(proof)
      },
      requiredRsaBits: config.requiredRSASize,
      rekeyLimit: {
        ...(config.rekeyLimit.bytes && { bytes: Number(config.rekeyLimit.bytes) }),
        ...(config.rekeyLimit.seconds && { seconds: config.rekeyLimit.seconds }),
      },
    },
    credentials: { ...credentials, methods },
    connection: {
      ...options.connection,
      globalRequests: new Map([
        ...(options.connection?.globalRequests ?? []),
        [
          hostKeysName,
          hearHostKeys((blobs, connection) => {
            acknowledge(client)
            return update(blobs, connection)
          }),
        ],
      ]),
    },
    log,
    output: chunks => link.output(chunks),
  })
  const update = hostKeyUpdater(options, verification, () => state.judgement)
  client.closed.then(() => {
    stream.end()
    setTimeout(() => stream.destroy(), lingering).unref()
  })
  link.attach(client)
  log.debug1?.(`Authenticating to ${config.hostName}:${config.port} as '${config.user}'`)
  await client.keyExchange.finally(handshake.stop)
  if (config.warnWeakCrypto === 'yes' && !isSetByUser(config, 'kexAlgorithms'))
    warnOfWeakCrypto(client.transport.negotiated.kex, log)
  try {
    const authentication = await client.authentication
    const place = address === undefined ? 'via proxy' : `[${address}]:${config.port}`
    log.verbose?.(`Authenticated to ${config.hostName} (${place}) using "${authentication.method}".`)
    keepAlive(client, config)
    watchTimeouts(client.connection, config, config.hostName, log)
    return {
      client,
      stream,
      address,
      authentication,
      judgement: state.judgement,
      close() {
        client.transport.disconnect(DisconnectReason.byApplication, 'disconnected by user')
      },
    }
  } catch (error) {
    if (error instanceof AuthenticationError)
      client.transport.disconnect(DisconnectReason.noMoreAuthMethodsAvailable, 'No more authentication methods')
    stream.end()
    throw error
  }
}

/**
 * Says something where nothing is to be said: OpenSSH's server tells its keys while a channel is being opened, and its
 * system (Nagle's algorithm) holds the answer to that back until ours has acknowledged the keys, which it may put off for
 * 40 ms unless there is something to send.
 */
function acknowledge({ transport }: Client): void {
  transport.send(Ignore, { data: Buffer.alloc(4) })
}

const isSetByUser = ({ history }: SshConfig, name: string): boolean =>
  history.some(({ property, effective }) => property === name && effective)

/** Key exchanges that a quantum computer does not undo. */
const postQuantum = /^(sntrup761|mlkem)/

function warnOfWeakCrypto(kex: string, log: Log): void {
  if (postQuantum.test(kex)) return
  log.info?.('** WARNING: connection is not using a post-quantum key exchange algorithm.')
  log.info?.('** What is sent may be stored now and decrypted later.')
  log.info?.('** The server may need to be upgraded. See https://openssh.com/pq.html')
}

/** ConnectTimeout counts until the host shows its key. */
function handshakeTimer(config: SshConfig, expired: (error: ConnectionLostError) => void): { stop(): void } {
  const { connectTimeout, hostName, port } = config
  if (!connectTimeout) return { stop() {} }
  const timer = setTimeout(() => {
    expired(new ConnectionLostError('timeout', `Connection to ${hostName} port ${port} timed out`))
  }, connectTimeout * 1000)
  return { stop: () => clearTimeout(timer) }
}

/** Known types first, unless the user named an order himself; `+`, `-` and `^` change the default, which is none. */
async function orderedHostKeyAlgorithms(
  config: SshConfig,
  verification: Omit<VerifierOptions, 'accepted'>,
): Promise<readonly string[]> {
  const { hostKeyAlgorithms, history } = config
  const setting = history.find(({ property, effective }) => property === 'hostKeyAlgorithms' && effective)
  if (setting && !/^\s*"?[+-]/.test(setting.text)) return hostKeyAlgorithms
  return preferKnownTypes(hostKeyAlgorithms, await knownKeyTypes(verification, lookedUp(verification)))
}

/** UpdateHostKeys: only for a host that the user's own files or his word vouch for, and once. */
function hostKeyUpdater(
  { config, log }: OpenOptions,
  verification: Omit<VerifierOptions, 'accepted'>,
  judgement: () => Judgement,
) {
  let heard = false
  return async (blobs: Buffer[], connection: Client['connection']): Promise<void> => {
    if (heard || config.updateHostKeys === 'no') return
    heard = true
    if (judgement() !== 'known-to-user' && judgement() !== 'confirmed') return
    if (config.updateHostKeys === 'ask' && config.batchMode) return
    const { updateHostKeys } = await import('../hostkeys/update.ts')
    await updateHostKeys(blobs, connection, {
      mode: config.updateHostKeys,
      ...lookedUp(verification),
      ...(verification.checkHostIP && verification.address !== undefined && { address: verification.address }),
      userKnownHostsFiles: verification.userKnownHostsFiles,
      hashKnownHosts: verification.hashKnownHosts,
      hostKeyAlgorithms: config.hostKeyAlgorithms,
      ...(verification.fingerprintHash && { fingerprintHash: verification.fingerprintHash }),
      ask: verification.ask,
      log,
    })
  }
}

/** ServerAliveInterval: a server that says nothing for too long is given up. */
function keepAlive({ connection, transport }: Client, config: SshConfig): void {
  if (config.serverAliveInterval <= 0) return
  startKeepalive(
    connection,
    { intervalSeconds: config.serverAliveInterval, countMax: config.serverAliveCountMax },
    () => transport.fail(new ConnectionLostError('keepalive', `Timeout, server ${config.hostName} not responding.`)),
  )
}
