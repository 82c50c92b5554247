import { readFileSync } from 'node:fs'
import { Duplex } from 'node:stream'
import { messageOf, sanitize } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import type { Log } from '../../lib/log.ts'
import type { ServerLogin } from '../../lib/server.ts'
import { listen, type Peer, type ServeOptions, type SshServer, serve } from '../../src/api/server.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { createLog, fileSink, type LogLevel, raisedLevel, stderrSink } from '../../src/command/stderr-log.ts'
import { versionLine } from '../../src/command/version.ts'
import { algorithmsOf } from '../../src/connect/algorithms.ts'
import { loadSshdConfig } from '../../src/openssh/load.ts'
import { printSshdConfig } from '../../src/openssh/print.ts'
import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import { type SshdOptions, sshdKeywords } from '../../src/openssh/sshd-config.ts'
import { type Account, ownAccount } from './account.ts'
import { accountAuthority } from './authority.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import { loadHostKeys, ownHostKey } from './host-keys.ts'
import { sessionHandler } from './session.ts'

export { run } from '../../src/command/run.ts'

/** Where a server without a configuration listens. */
const ownPort = 2222

export const main = defineMain({ program: 'tsshd', failureStatus: 1 }, async args => {
  const invocation = parseInvocation(args)
  if (invocation.mode === 'print-version') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  const account = ownAccount()
  const config = loadSshdConfig({
    file: invocation.configFile ?? 'none',
    options: invocation.options,
    ports: invocation.ports,
  })
  const log = logOf(invocation, config)
  refuseUnsupported(config)
  warnOfUnsupported(config, log)
  const hostKeys = loadHostKeys(hostKeyFiles(invocation, config, account, log), log)
  if (invocation.mode === 'print-config') process.stdout.write(printSshdConfig(config))
  if (invocation.mode === 'print-config' || invocation.mode === 'test') return 0
  const options = serveOptions(account, config, hostKeys, log)
  return invocation.mode === 'inetd'
    ? serveStdio(options, log)
    : serveSockets(invocation, account, config, options, log)
})

function hostKeyFiles(
  { hostKeyFiles: named, configFile }: Invocation,
  config: SshdConfig,
  account: Account,
  log: Log,
): readonly string[] {
  if (named.length > 0) return named
  const configured = config.history.some(({ property, effective }) => property === 'hostKey' && effective)
  return configured || configFile !== undefined ? config.hostKey : [ownHostKey(account.home, log)]
}

/** Keywords that restrict who may log in or what they may do, and that this server does not know how to obey. */
const notObeyed = [
  'allowUsers',
  'denyUsers',
  'allowGroups',
  'denyGroups',
  'chrootDirectory',
  'trustedUserCAKeys',
  'revokedKeys',
  'authorizedKeysCommand',
  'authorizedPrincipalsFile',
  'authorizedPrincipalsCommand',
  'authenticationMethods',
  'refuseConnection',
] as const satisfies readonly (keyof SshdOptions)[]

const obeyed: ReadonlySet<string> = new Set([
  'acceptEnv',
  'authorizedKeysFile',
  'banner',
  'ciphers',
  'forceCommand',
  'hostKey',
  'hostKeyAlgorithms',
  'kexAlgorithms',
  'listenAddress',
  'loginGraceTime',
  'logLevel',
  'macs',
  'maxAuthTries',
  'maxSessions',
  'maxStartups',
  'permitRootLogin',
  'permitTTY',
  'port',
  'addressFamily',
  'pubkeyAcceptedAlgorithms',
  'pubkeyAuthentication',
  'rekeyLimit',
  'strictModes',
  'subsystem',
  'versionAddendum',
])

/** Says which lines of the configuration have no effect. */
function warnOfUnsupported(config: SshdConfig, log: Log): void {
  for (const { property, file, line, effective } of config.history) {
    if (!effective || obeyed.has(property)) continue
    log.info?.(
      `${file} line ${line}: ${sshdKeywords[property as keyof SshdOptions].name} is not supported by this server and has no effect.`,
    )
  }
}

/** A restriction that would be ignored is worse than a server that does not start. @throws CommandError */
function refuseUnsupported(config: SshdConfig): void {
  for (const { property, file, line, effective } of config.history) {
    if (effective && notObeyed.some(name => name === property)) {
      throw new CommandError(
        `${file} line ${line}: ${sshdKeywords[property as keyof SshdOptions].name} is not supported by this server.`,
        1,
      )
    }
  }
}

const restricts = (options: SshdOptions): string | undefined =>
  notObeyed.find(name => {
    const value: unknown = options[name]
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== false
  })

function logOf({ debug, quiet, logFile }: Invocation, config: SshdConfig): Log {
  const level: LogLevel = config.logLevel === 'DEBUG' ? 'DEBUG1' : config.logLevel
  const sink = logFile === undefined ? stderrSink() : fileSink(logFile)
  return createLog(quiet ? 'QUIET' : raisedLevel(level, debug), sink)
}

function serveOptions(
  account: Account,
  config: SshdConfig,
  hostKeys: ServeOptions['hostKeys'],
  log: Log,
): ServeOptions {
  const optionsFor = (peer: Peer, user: string): SshdOptions =>
    config.forConnection({
      user,
      host: peer.address,
      address: peer.address,
      localAddress: peer.localAddress,
      localPort: peer.localPort,
      invalidUser: user !== account.name,
    })
  return {
    hostKeys,
    algorithms: algorithmsOf({
      kex: config.kexAlgorithms,
      hostKey: config.hostKeyAlgorithms,
      cipher: config.ciphers,
      mac: config.macs,
      compression: false,
    }),
    signatureAlgorithms: config.pubkeyAcceptedAlgorithms,
    ...(config.versionAddendum && { versionComment: config.versionAddendum }),
    loginGraceTime: config.loginGraceTime,
    maxSessions: config.maxSessions,
    rekeyLimit: {
      ...(config.rekeyLimit.bytes && { bytes: Number(config.rekeyLimit.bytes) }),
      ...(config.rekeyLimit.seconds && { seconds: config.rekeyLimit.seconds }),
    },
    log,
    authentication(peer) {
      log.info?.(`Connection from ${peer.address} port ${peer.port} on ${peer.localAddress} port ${peer.localPort}`)
      const options = optionsFor(peer, account.name)
      const banner = options.banner === undefined ? undefined : readBanner(options.banner)
      const obstacle = restricts(options)
      if (obstacle) log.error(`${obstacle} is not supported by this server: no login for ${peer.address}`)
      return {
        authority: obstacle ? {} : accountAuthority(account, options, peer, log),
        maxAttempts: options.maxAuthTries,
        ...(banner !== undefined && { banner }),
      }
    },
    session(login, peer) {
      const options = optionsFor(peer, login.user)
      return sessionHandler({
        account,
        permissions: login.permissions,
        peer,
        acceptEnv: options.acceptEnv,
        subsystems: new Map(options.subsystem.map(({ name, commandLine }) => [name, commandLine])),
        forceCommand: options.forceCommand,
        permitTty: options.permitTTY,
        log,
      })
    },
  }
}

function readBanner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function accepted({ authentication: { user, method, publicKey } }: ServerLogin, { address, port }: Peer): string {
  const key = publicKey ? `: ${publicKey.label} ${fingerprint(publicKey.blob)}` : ''
  return `Accepted ${method} for ${sanitize(user, true)} from ${address} port ${port} ssh2${key}`
}

async function serveStdio(options: ServeOptions, log: Log): Promise<number> {
  const peer: Peer = { address: 'UNKNOWN', port: 65535, localAddress: 'UNKNOWN', localPort: 65535 }
  const stream = Duplex.from({ readable: process.stdin, writable: process.stdout })
  const { login, closed } = serve(stream, peer, options)
  login.then(
    outcome => log.info?.(accepted(outcome, peer)),
    () => {},
  )
  await closed
  return 0
}

async function serveSockets(
  invocation: Invocation,
  account: Account,
  config: SshdConfig,
  options: ServeOptions,
  log: Log,
): Promise<number> {
  const { begin, rate, full } = config.maxStartups
  const servers: SshServer[] = []
  for (const { host, port, required } of addresses(invocation, config)) {
    const wanted = {
      ...options,
      host,
      maxStartups: { start: begin, rate, full },
      onLogin: (login: ServerLogin, peer: Peer) => log.info?.(accepted(login, peer)),
    }
    try {
      servers.push(await listen({ ...wanted, port }))
    } catch (error) {
      if (required) log.error(`Bind to port ${port} on ${host} failed: ${messageOf(error)}.`)
      else servers.push(await listen({ ...wanted, port: 0 }))
    }
  }
  if (servers.length === 0) throw new CommandError('Cannot bind any address.', 255)
  for (const { host, port } of servers) log.info?.(`Server listening on ${host} port ${port}.`)
  if (invocation.configFile === undefined && servers[0]) welcome(account, servers[0])
  await ending(invocation, servers)
  await Promise.all(servers.map(server => server.close()))
  return 0
}

/** Without a configuration the server is for this machine alone. */
function addresses(
  { configFile, ports }: Invocation,
  config: SshdConfig,
): { host: string; port: number; required: boolean }[] {
  const configured = config.history.some(({ property }) => property === 'listenAddress' || property === 'port')
  if (configFile === undefined && !configured) {
    return ports.length > 0
      ? ports.map(port => ({ host: '127.0.0.1', port, required: true }))
      : [{ host: '127.0.0.1', port: ownPort, required: false }]
  }
  const everywhere =
    configFile === undefined
      ? ['127.0.0.1']
      : config.addressFamily === 'inet6'
        ? ['::']
        : config.addressFamily === 'inet'
          ? ['0.0.0.0']
          : ['::']
  const named = config.listenAddress.length > 0 ? config.listenAddress : everywhere.map(host => ({ host, port: 0 }))
  return named.flatMap(({ host, port }) =>
    (port ? [port] : config.port).map(one => ({ host, port: one, required: true })),
  )
}

function welcome({ name, home }: Account, { host, port }: SshServer): void {
  process.stderr.write(
    `tsshd serves ${name} on ${host} port ${port}, for the keys in ${home}/.ssh/authorized_keys.\n` +
      `Log in with: tssh -p ${port} ${name}@${host}\n`,
  )
}

/** SIGTERM and SIGINT stop the server; with -d, so does the end of its first connection. */
function ending({ debug }: Invocation, servers: readonly SshServer[]): Promise<void> {
  return new Promise(resolve => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
    if (debug === 0) return
    let seen = false
    const timer = setInterval(() => {
      const open = servers.some(({ connections }) => connections > 0)
      seen ||= open
      if (!seen || open) return
      clearInterval(timer)
      resolve()
    }, 100)
  })
}
