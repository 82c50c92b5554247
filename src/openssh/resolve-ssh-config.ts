import type { Log } from '../../lib/log.ts'
import { silentLog } from '../../lib/log.ts'
import type { AlgorithmNames } from './algorithm-list.ts'
import { opensshAlgorithmNames } from './algorithm-names.ts'
import { canonicalize, type HostLookup, type LookupRequest } from './canonicalize.ts'
import { ConfigError } from './errors.ts'
import { isAddress, validHostname, validRemoteUser } from './forwarding.ts'
import { type ParseSettings, problemAt } from './keyword.ts'
import { type ConfigLine, splitLine, splitLines } from './lexer.ts'
import { type MatchSubject, matchClientLine, matchHostLine } from './match.ts'
import { OptionStore, ProblemList, type Setting } from './options.ts'
import { matchPatternList } from './pattern.ts'
import { commandLine, formerSshKeywords, type SshOptions, sshKeywords } from './ssh-config.ts'
import { type Environment, expandTilde, expandTokens, type Homes, type Tokens } from './tokens.ts'
import { clearNone } from './values.ts'

/** A file as a reader found it; `absent` gives the system's reason. */
export type ReadOutcome = { readonly text: string } | { readonly absent: string; readonly missing: boolean }

/** How configuration reaches files. */
export interface ConfigReader {
  /** @throws ConfigError when the file must not be used. */
  read(path: string, check: { readonly owner: boolean }): ReadOutcome
  /** Paths that match, in order. */
  glob(pattern: string): readonly string[]
}

export interface SshConfigSource {
  readonly path: string
  /** `user`: relative includes are in `~/.ssh`. */
  readonly origin: 'user' | 'system'
  /** A file named by the user must be there. */
  readonly required: boolean
  /** Refuses a file that others may write. */
  readonly checkOwner: boolean
}

/** All that the options of one connection follow from. */
export interface SshConfigInputs {
  /** The destination as typed. */
  readonly host: string
  /** Given with `-l` or before an `@`: wins over files, and is checked for shell characters. */
  readonly user?: string | undefined
  /** Lines of `-o`, first wins. */
  readonly options?: readonly string[]
  /** The remote command, for Match command and sessiontype. */
  readonly command?: string
  /** `-W`: forwardings are off and failures end the connection, unless configured otherwise. */
  readonly stdioForward?: boolean
  readonly sources: readonly SshConfigSource[]
  readonly reader: ConfigReader
  readonly localUser: string
  readonly uid: number
  readonly home: string
  homeOf?(user: string): string | undefined
  /** Name of this host. */
  readonly localHost: string
  readonly env: Environment
  /** Runs a command of `Match exec`: its exit status, or undefined when it did not end by itself. */
  exec?(command: string): number | undefined
  /** Addresses of this host's interfaces, for `Match localnetwork`. */
  localAddresses?(): readonly string[]
  /** Hexadecimal SHA-1, for `%C`. */
  sha1(text: string): string
  readonly algorithms?: AlgorithmNames
  /** What `Match version` compares. */
  readonly version?: string
  readonly log?: Log
}

/** The options of one connection. */
export interface SshConfig extends Omit<SshOptions, 'user' | 'hostName' | 'port'> {
  /** The destination as typed. */
  readonly host: string
  readonly hostName: string
  readonly user: string
  readonly port: number
  /** What `%x` stands for in keywords that are expanded when they are used. */
  readonly tokens: Tokens
  readonly homes: Homes
  readonly env: Environment
  /** Every line that set an option or tried to, in order. */
  readonly history: readonly Setting[]
}

export const maxIncludeDepth = 16
/** Most files that one reading of the configuration may open. */
export const maxConfigFiles = 1024
const sshDirectory = '/etc/ssh'
const release = 'OpenSSH_10.5p1'

interface Scope {
  active: boolean
  /** Inside an Include that does not apply: nothing can become active. */
  readonly never: boolean
}

class Resolver {
  readonly inputs: SshConfigInputs
  readonly options = new OptionStore(sshKeywords)
  readonly log: Log
  readonly settings: ParseSettings
  host: string
  wantsFinalPass = false
  #pass: 'first' | 'final' = 'first'
  #opened = 0

  constructor(inputs: SshConfigInputs) {
    this.inputs = inputs
    this.log = inputs.log ?? silentLog
    this.settings = { algorithms: inputs.algorithms ?? opensshAlgorithmNames, env: inputs.env }
    this.host = inputs.host
  }

  commandLineOptions(): void {
    if (this.inputs.user !== undefined) this.options.set('user', this.inputs.user)
    for (const text of this.inputs.options ?? []) {
      const line = splitLine(text, commandLine, 0)
      if (line) this.#process(line, { active: true, never: false }, { depth: 0, origin: 'user' })
    }
  }

  readFiles(pass: 'first' | 'final'): void {
    this.#pass = pass
    this.#opened = 0
    for (const source of this.inputs.sources) {
      const outcome = this.#open(source.path, source.checkOwner)
      if ('text' in outcome) {
        this.#processFile(
          outcome.text,
          source.path,
          { active: true, never: false },
          { depth: 0, origin: source.origin },
        )
      } else if (source.required) {
        throw new ConfigError(source.path, 0, `Can't open user config file ${source.path}: ${outcome.absent}`)
      }
    }
  }

  #open(path: string, owner: boolean): ReadOutcome {
    if (++this.#opened > maxConfigFiles) throw new ConfigError(path, 0, 'Too many configuration files')
    const outcome = this.inputs.reader.read(path, { owner })
    if ('text' in outcome) this.log.debug1?.(`Reading configuration data ${path}`)
    return outcome
  }

  #processFile(text: string, path: string, scope: Scope, where: Where): void {
    const problems = new ProblemList(path)
    for (const line of splitLines(text, path)) problems.run(() => this.#process(line, scope, where))
    problems.finish()
  }

  #process(line: ConfigLine, scope: Scope, where: Where): void {
    const { keyword, file } = line
    if (line.rest === '') throw problemAt(line, `no argument after keyword "${keyword}"`)
    const fromCommandLine = file === commandLine
    switch (keyword) {
      case 'host':
        if (fromCommandLine) throw new ConfigError(file, 0, 'Host directive not supported as a command-line option')
        if (!line.words) throw problemAt(line, 'invalid quotes')
        scope.active = matchHostLine(line, this.host) && !scope.never
        if (scope.active) this.log.debug1?.(`${file} line ${line.line}: Applying options for ${line.rest}`)
        return
      case 'match': {
        if (fromCommandLine) throw new ConfigError(file, 0, 'Match directive not supported as a command-line option')
        const { matched, wantsFinalPass } = matchClientLine(line, this.#subject(line, scope))
        this.wantsFinalPass ||= wantsFinalPass
        scope.active = matched && !scope.never
        return
      }
      case 'include':
        if (fromCommandLine) throw new ConfigError(file, 0, 'Include directive not supported as a command-line option')
        this.#include(line, scope, where)
        return
    }
    const property = this.options.propertyOf(keyword)
    if (property !== undefined) {
      this.options.apply(property, line, scope.active, this.settings)
      if (property === 'refuseConnection' && scope.active) {
        throw new ConfigError(file, line.line, `${file} line ${line.line}: RefuseConnection: ${line.words![0]}`)
      }
      return
    }
    this.#former(line)
  }

  #former(line: ConfigLine): void {
    const { keyword, file } = line
    const fate = Object.hasOwn(formerSshKeywords, keyword) ? formerSshKeywords[keyword] : undefined
    const ignored = this.options.text('ignoreUnknown')
    if (fate === 'deprecated') this.log.debug1?.(`${file} line ${line.line}: Deprecated option "${keyword}"`)
    else if (fate === 'unsupported') this.log.error(`${file} line ${line.line}: Unsupported option "${keyword}"`)
    else if (fate === undefined) {
      if (ignored === undefined || matchPatternList(keyword, ignored, { lowerCasePatterns: true }) !== 'match') {
        throw new ConfigError(file, line.line, `${file}: line ${line.line}: Bad configuration option: ${keyword}`)
      }
      this.log.debug1?.(`${file} line ${line.line}: Ignored unknown option "${keyword}"`)
    }
    if (!line.words) throw problemAt(line, 'invalid quotes')
  }

  #subject(line: ConfigLine, scope: Scope): MatchSubject {
    const { inputs, options } = this
    const sessionType = options.text('sessionType')
    const command = inputs.command ?? ''
    return {
      host: this.#matchHost(),
      originalHost: inputs.host,
      user: options.text('user') ?? inputs.localUser,
      localUser: inputs.localUser,
      tag: options.text('tag') ?? '',
      command,
      sessionType: sessionType === 'subsystem' || sessionType === 'none' ? sessionType : command ? 'exec' : 'shell',
      version: inputs.version ?? release,
      pass: this.#pass,
      localAddresses: () => inputs.localAddresses?.() ?? [],
      exec: command => !scope.never && this.#exec(line, command),
    }
  }

  #exec(line: ConfigLine, text: string): boolean {
    const command = located(line, () => expandTokens(text, this.#tokens()))
    if (!this.inputs.exec) return false
    this.log.debug1?.(`Executing command: '${command}'`)
    const status = this.inputs.exec(command)
    if (status === undefined) throw problemAt(line, `match exec '${command}' error`)
    return status === 0
  }

  #matchHost(): string {
    const configured = this.options.text('hostName')
    if (this.#pass === 'final' || configured === undefined) return configured ?? this.host
    return expandTokens(configured, { h: this.host })
  }

  /** Tokens of Match exec and Include, from what is known so far. */
  #tokens(): Tokens {
    const host = this.#matchHost()
    return connectionTokens(this.inputs, {
      host,
      keyAlias: this.options.text('hostKeyAlias') ?? host,
      port: (this.options.get('port') as number | undefined) ?? 22,
      user: this.options.text('user') ?? this.inputs.localUser,
      jumpHost: jumpHostOf(this.options),
    })
  }

  #include(line: ConfigLine, scope: Scope, where: Where): void {
    if (!line.words) throw problemAt(line, 'invalid quotes')
    for (const word of line.words) {
      if (word === '') throw problemAt(line, `keyword ${line.keyword} empty argument`)
      const path = located(line, () => expandTokens(word, this.#tokens(), this.inputs.env))
      if (path.startsWith('~') && where.origin === 'system') throw problemAt(line, `bad include path ${path}.`)
      const base = where.origin === 'user' ? '~/.ssh' : sshDirectory
      const anchored = path.startsWith('/') || path.startsWith('~') ? path : `${base}/${path}`
      const pattern = located(line, () => expandTilde(anchored, this.inputs))
      const paths = this.inputs.reader.glob(pattern)
      if (paths.length === 0) this.log.debug1?.(`${line.file} line ${line.line}: include ${pattern} matched no files`)
      for (const included of paths) this.#includeFile(line, included, scope, where)
    }
  }

  #includeFile(line: ConfigLine, path: string, scope: Scope, where: Where): void {
    if (where.depth >= maxIncludeDepth) throw new ConfigError(path, 0, 'Too many recursive configuration includes')
    this.log.debug3?.(`${line.file} line ${line.line}: Including file ${path} depth ${where.depth}`)
    const outcome = this.#open(path, true)
    if (!('text' in outcome)) {
      throw problemAt(line, `Can't open user config file ${path}: ${outcome.absent}`)
    }
    // Host and Match of an included file end with it.
    const inner: Scope = { active: scope.active, never: scope.never || !scope.active }
    this.#processFile(outcome.text, path, inner, { ...where, depth: where.depth + 1 })
  }
}

interface Where {
  readonly depth: number
  readonly origin: 'user' | 'system'
}

/** Gives a problem that knows no place the place of a line. */
function located<T>(line: ConfigLine, step: () => T): T {
  try {
    return step()
  } catch (error) {
    if (error instanceof ConfigError && error.file === '') throw problemAt(line, error.message)
    throw error
  }
}

function jumpHostOf(options: OptionStore): string {
  const hops = options.get('proxyJump') as SshOptions['proxyJump'] | undefined
  return hops?.at(-1)?.host ?? ''
}

interface Endpoints {
  readonly host: string
  readonly keyAlias: string
  readonly port: number
  readonly user: string
  readonly jumpHost: string
}

function connectionTokens(inputs: SshConfigInputs, to: Endpoints): Tokens {
  const { localHost } = inputs
  return {
    // Few files use it, and before the connection is on its way a hash takes long.
    get C() {
      return inputs.sha1(`${localHost}${to.host}${to.port}${to.user}${to.jumpHost}`)
    },
    L: localHost.replace(/\..*/s, ''),
    d: inputs.home,
    h: to.host,
    i: String(inputs.uid),
    j: to.jumpHost,
    k: to.keyAlias,
    l: localHost,
    n: inputs.host,
    p: String(to.port),
    r: to.user,
    u: inputs.localUser,
  }
}

/** One reading of the configuration, which stops wherever a name has to be looked up in the DNS. */
function* resolve(inputs: SshConfigInputs): Generator<LookupRequest, SshConfig, HostLookup | undefined> {
  if (inputs.user !== undefined && !validRemoteUser(inputs.user)) {
    throw new ConfigError(commandLine, 0, 'remote username contains invalid characters')
  }
  if (!validHostname(inputs.host)) throw new ConfigError(commandLine, 0, 'hostname contains invalid characters')
  const resolver = new Resolver(inputs)
  const { options } = resolver
  resolver.commandLineOptions()
  resolver.readFiles('first')

  // What canonicalisation goes by is settled before the final pass.
  for (const property of ['canonicalizeHostname', 'canonicalizeMaxDots', 'canonicalizeFallbackLocal'] as const) {
    options.set(property, options.get(property) ?? sshKeywords[property].default)
  }
  const configured = options.text('hostName')
  const name = configured === undefined ? inputs.host : expandTokens(configured, { h: inputs.host })
  if (configured !== undefined) options.set('hostName', name)
  const given = isAddress(name) ? name : name.toLowerCase()
  const host = yield* canonicalize(given, canonicalizationOptions(options), resolver.log)
  const mode = options.get('canonicalizeHostname')
  if (mode !== 'no' || resolver.wantsFinalPass) {
    resolver.log.debug1?.('re-parsing configuration')
    options.set('hostName', host)
    resolver.host = host
    resolver.readFiles('final')
  }
  return finish(inputs, options, host)
}

function canonicalizationOptions(options: OptionStore) {
  const read = <K extends keyof SshOptions>(key: K): SshOptions[K] =>
    (options.get(key) ?? sshKeywords[key].default) as SshOptions[K]
  return {
    canonicalizeHostname: read('canonicalizeHostname'),
    canonicalizeMaxDots: read('canonicalizeMaxDots'),
    canonicalizeFallbackLocal: read('canonicalizeFallbackLocal'),
    canonicalDomains: read('canonicalDomains'),
    canonicalizePermittedCNAMEs: read('canonicalizePermittedCNAMEs'),
    addressFamily: read('addressFamily'),
    direct: clearNone(read('proxyCommand')) === undefined && read('proxyJump').length === 0,
  }
}

/** Defaults, `none` and token expansion. */
function finish(inputs: SshConfigInputs, options: OptionStore, host: string): SshConfig {
  const algorithms = inputs.algorithms ?? opensshAlgorithmNames
  const values = Object.fromEntries(
    Object.entries(sshKeywords).map(([property, row]) => [property, options.get(property) ?? row.default]),
  ) as unknown as SshOptions
  const isSet = (property: keyof SshOptions): boolean => options.get(property) !== undefined

  if (!isSet('ciphers')) values.ciphers = algorithms.cipher.defaults
  if (!isSet('macs')) values.macs = algorithms.mac.defaults
  if (!isSet('kexAlgorithms')) values.kexAlgorithms = algorithms.kex.defaults
  if (!isSet('hostKeyAlgorithms')) values.hostKeyAlgorithms = algorithms.signature.defaults
  if (!isSet('hostbasedAcceptedAlgorithms')) values.hostbasedAcceptedAlgorithms = algorithms.signature.defaults
  if (!isSet('pubkeyAcceptedAlgorithms')) values.pubkeyAcceptedAlgorithms = algorithms.signature.defaults
  if (!isSet('caSignatureAlgorithms')) values.caSignatureAlgorithms = algorithms.caSignature.defaults
  if (!isSet('exitOnForwardFailure')) values.exitOnForwardFailure = inputs.stdioForward ?? false
  if (!isSet('clearAllForwardings')) values.clearAllForwardings = inputs.stdioForward ?? false
  if (values.clearAllForwardings) {
    values.dynamicForward = values.localForward = values.remoteForward = []
    values.tunnel = 'no'
  }
  if (!isSet('updateHostKeys')) {
    const files = options.get('userKnownHostsFile') as readonly string[] | undefined
    const usualFiles = !files || (files.length === 1 && files[0] === '~/.ssh/known_hosts')
    values.updateHostKeys = values.verifyHostKeyDNS === 'no' && usualFiles ? 'yes' : 'no'
  }
  for (const property of clearedByNone) values[property] = clearNone(values[property])
  for (const property of ['userKnownHostsFile', 'globalKnownHostsFile', 'logVerbose'] as const) {
    if (values[property][0]?.toLowerCase() === 'none') values[property] = []
  }
  if (values.proxyJump.length > 0) {
    values.proxyCommand = undefined
    values.proxyUseFdpass = false
  }
  values.hostKeyAlias = values.hostKeyAlias?.toLowerCase()
  checkConsistency(values, inputs, host)
  return expandAll(inputs, values, options, host)
}

const clearedByNone = [
  'localCommand',
  'remoteCommand',
  'proxyCommand',
  'controlPath',
  'pkcs11Provider',
  'securityKeyProvider',
  'knownHostsCommand',
] as const

function checkConsistency(values: SshOptions, inputs: SshConfigInputs, host: string): void {
  const refuse = (text: string): never => {
    throw new ConfigError(commandLine, 0, text)
  }
  if (values.connectionAttempts <= 0) refuse('Invalid number of ConnectionAttempts')
  if (values.proxyCommand === '-' && values.proxyUseFdpass) refuse('ProxyCommand=- and ProxyUseFDPass are incompatible')
  if (inputs.command && values.remoteCommand !== undefined) refuse('Cannot execute command-line and remote command.')
  const jump = values.proxyJump.at(-1)
  const user = values.user ?? inputs.localUser
  if (jump && jump.host === host && (jump.port ?? 22) === (values.port ?? 22) && (jump.user ?? user) === user) {
    refuse(`jumphost loop via ${jump.host}`)
  }
  if (values.updateHostKeys === 'ask') {
    const noQuestions =
      (values.controlPersist !== false && values.controlPath !== undefined) ||
      Boolean(inputs.command) ||
      values.remoteCommand !== undefined ||
      values.requestTTY === 'no' ||
      ['QUIET', 'FATAL', 'ERROR'].includes(values.logLevel)
    if (noQuestions) values.updateHostKeys = 'no'
  }
}

function expandAll(inputs: SshConfigInputs, values: SshOptions, options: OptionStore, host: string): SshConfig {
  const port = values.port ?? 22
  const jumpHost = values.proxyJump.at(-1)?.host ?? ''
  const to = { host, keyAlias: values.hostKeyAlias ?? inputs.host, port, jumpHost }
  const attempt = <T>(keyword: string, step: () => T): T => {
    try {
      return step()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      throw new ConfigError(error.file, 0, `${keyword}: ${error.message}`)
    }
  }

  let user = values.user ?? inputs.localUser
  if (values.user !== undefined && inputs.user === undefined && /[%$]/.test(user)) {
    const { C: _C, r: _r, ...tokens } = connectionTokens(inputs, { ...to, user })
    const expanded = attempt('User', () => expandTokens(user, tokens, inputs.env))
    if (expanded !== user && !validRemoteUser(expanded)) {
      throw new ConfigError(commandLine, 0, 'remote username contains invalid characters')
    }
    user = expanded
  }
  const tokens = connectionTokens(inputs, { ...to, user })
  const result: Record<string, unknown> = { ...values }
  for (const [property, row] of Object.entries(sshKeywords)) {
    const value = result[property]
    if (row.tokens === undefined || row.tokens === 'user' || value === undefined) continue
    const change = (text: string): string =>
      row.tokens === 'percent'
        ? expandTokens(text, tokens)
        : expandTokens(property === 'setEnv' ? text : expandTilde(text, inputs), tokens, inputs.env)
    const mapText = row.mapText as ((value: unknown, change: (text: string) => string) => unknown) | undefined
    result[property] = attempt(row.name, () => mapText?.(value, change) ?? value)
  }
  const known = result as unknown as SshOptions
  const homes = { home: inputs.home, ...(inputs.homeOf ? { homeOf: (name: string) => inputs.homeOf?.(name) } : {}) }
  return {
    ...known,
    host: inputs.host,
    hostName: host,
    user,
    port,
    tokens,
    homes,
    env: inputs.env,
    history: options.history,
  }
}

/**
 * The options of a connection (ssh_config(5)): `-o`, then the files, read twice when Match final or canonicalisation
 * ask for it. Names are taken as they are when canonicalisation would need the DNS.
 * @throws ConfigError with everything that is wrong.
 */
export function resolveSshConfig(inputs: SshConfigInputs): SshConfig {
  const steps = resolve(inputs)
  let step = steps.next()
  while (!step.done) step = steps.next(undefined)
  return step.value
}

/** As `resolveSshConfig`, with the DNS: `lookup` says whether a host exists, and its canonical name. */
export async function resolveSshConfigWithDns(
  inputs: SshConfigInputs,
  lookup: (request: LookupRequest) => Promise<HostLookup>,
): Promise<SshConfig> {
  const steps = resolve(inputs)
  let step = steps.next()
  while (!step.done) step = steps.next(await lookup(step.value))
  return step.value
}

/** Expands a file name of a keyword that is expanded at use: `~`, `%x` and `${NAME}`. @throws ConfigError */
export function expandConfigPath(config: SshConfig, path: string): string {
  return expandTokens(expandTilde(path, config.homes), config.tokens, config.env)
}

/** Expands ProxyCommand or a host of ProxyJump, which know of the destination alone. @throws ConfigError */
export function expandForProxy({ tokens }: Pick<SshConfig, 'tokens'>, text: string): string {
  const { h = '', k = '', n = '', p = '', r = '' } = tokens
  return expandTokens(text, { h, k, n, p, r })
}

/** Expands the tokens of a command, with more tokens where the keyword has them (`%T`, `%H`, `%I`, `%K`, `%t`, `%f`). */
export function expandConfigCommand(config: SshConfig, command: string, more: Tokens = {}): string {
  return expandTokens(command, { ...config.tokens, ...more })
}
