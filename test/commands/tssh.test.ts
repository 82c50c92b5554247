import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseInvocation } from '../../commands/tssh/command-line.ts'
import { resolveConfig } from '../../commands/tssh/config.ts'
import { silentLog } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { printSshConfig } from '../../src/openssh/print.ts'
import { type Listening, type Ran, runProgram, startListening } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const go = (...args: string[]): Promise<Ran> => runProgram(process.execPath, [tssh, ...args])

describe('the command line', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-flags-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('every flag of ssh is known, and becomes its keyword', async () => {
    const flags: readonly (readonly [readonly string[], string])[] = [
      [['-4'], 'addressfamily inet'],
      [['-6'], 'addressfamily inet6'],
      [['-A'], 'forwardagent yes'],
      [['-a'], 'forwardagent no'],
      [['-B', 'lo'], 'bindinterface lo'],
      [['-b', '192.0.2.1'], 'bindaddress 192.0.2.1'],
      [['-C'], 'compression yes'],
      [['-c', 'aes256-ctr'], 'ciphers aes256-ctr'],
      [['-D', '1080'], 'dynamicforward 1080'],
      [['-e', '^x'], 'escapechar \\^X'],
      [['-f'], 'forkafterauthentication yes'],
      [['-g'], 'gatewayports yes'],
      [['-I', '/lib/token.so'], 'pkcs11provider /lib/token.so'],
      [['-i', '/etc/passwd'], 'identityfile /etc/passwd'],
      [['-J', 'me@first,second:2222'], 'proxyjump me@first,second:2222'],
      [['-K'], 'gssapiauthentication yes'],
      [['-k'], 'gssapidelegatecredentials no'],
      [['-L', '8080:[::1]:80'], 'localforward 8080 [::1]:80'],
      [['-L', '[::1]:8080:host:80'], 'localforward [::1]:8080 [host]:80'],
      [['-L', '/tmp/socket:host:80'], 'localforward /tmp/socket [host]:80'],
      [['-l', 'somebody'], 'user somebody'],
      [['-M'], 'controlmaster true'],
      [['-m', 'hmac-sha2-512'], 'macs hmac-sha2-512'],
      [['-N'], 'sessiontype none'],
      [['-n'], 'stdinnull yes'],
      [['-o', 'ServerAliveInterval=7'], 'serveraliveinterval 7'],
      [['-P', 'label'], 'tag label'],
      [['-p', '2200'], 'port 2200'],
      [['-q'], 'loglevel QUIET'],
      [['-R', '8080:localhost:80'], 'remoteforward 8080 [localhost]:80'],
      [['-R', '1080'], 'remoteforward 1080'],
      [['-S', '/tmp/control'], 'controlpath /tmp/control'],
      [['-s'], 'sessiontype subsystem'],
      [['-T'], 'requesttty false'],
      [['-t'], 'requesttty true'],
      [['-tt'], 'requesttty force'],
      [['-w', '1:2'], 'tunneldevice 1:2'],
      [['-X'], 'forwardx11 yes'],
      [['-x'], 'forwardx11 no'],
      [['-Y'], 'forwardx11trusted yes'],
    ]
    for (const [args, line] of flags) {
      const config = await resolveConfig(parseInvocation(['-F', 'none', ...args, 'host']), silentLog)
      const lines = printSshConfig(config)
        .split('\n')
        .map(text => text.replace(/ \[socks\]:0$/, ''))
      expect(lines, args.join(' ')).toContain(line)
    }
  })

  test('what ssh refuses is refused in its words', async () => {
    const refusals: readonly (readonly [readonly string[], string])[] = [
      [['-p', '0', 'host'], "Bad port '0'"],
      [['-W', 'nonsense', 'host'], "Bad stdio forwarding specification 'nonsense'"],
      [['-L', 'nonsense', 'host'], "Bad local forwarding specification 'nonsense'"],
      [['-D', 'nonsense', 'host'], "Bad dynamic forwarding specification 'nonsense'"],
      [['-e', 'zz', 'host'], "Bad escape character 'zz'."],
      [['-J', 'a@b@c:99999', 'host'], 'Invalid -J argument'],
      [['-c', 'nonsense', 'host'], "Unknown cipher type 'nonsense'"],
      [['-m', 'nonsense', 'host'], "Unknown mac type 'nonsense'"],
      [['-l', '-x', 'host'], 'remote username contains invalid characters'],
      [['--', '-oProxyCommand=x'], 'hostname contains invalid characters'],
      [['-o', 'Nonsense=1', 'host'], 'command-line: line 0: Bad configuration option: nonsense'],
    ]
    for (const [args, text] of refusals) {
      const outcome = (async () => resolveConfig(parseInvocation(['-F', 'none', ...args]), silentLog))()
      await expect(outcome, args.join(' ')).rejects.toMatchObject({ message: text, exitStatus: 255 })
    }
    expect(await go('-F', 'none', '-p', '0', 'host')).toMatchObject({ status: 255, stderr: "Bad port '0'\n" })
  })

  test.skipIf(!haveProgram('ssh'))('destinations, and which of users and ports wins, are as with ssh', async () => {
    const lines: readonly (readonly string[])[] = [
      ...['ssh://us%65r@host:22', 'ssh://user;x=1@host', 'ssh://host/', 'ssh://u@h:', 'u@[::1]', 'a@b@host'].map(
        one => [one],
      ),
      ...['ssh://%zz@host', 'ssh://a%00b@host', 'ssh://host/path', 'ssh://@host', 'ssh://u@h:0', 'ssh://', '@host'].map(
        one => [one],
      ),
      ...[
        ['a@host', '-l', 'b'],
        ['-l', 'b', 'a@host'],
        ['-o', 'User=b', 'a@host'],
        ['a@host', '-o', 'User=b'],
      ],
      ...[
        ['-p', '1', 'ssh://h:2'],
        ['ssh://h:2', '-p', '1'],
        ['ssh://h:2', '-o', 'Port=3'],
        ['-o', 'User=a', '-l', 'b', 'h'],
      ],
    ]
    const shown = (text: string): string => text.match(/^(user|hostname|port) .*$/gm)?.join() ?? 'usage'
    for (const args of lines) {
      const theirs = spawnSync('ssh', ['-F', 'none', '-G', ...args], { encoding: 'utf8' })
      const ours = (async () =>
        printSshConfig(await resolveConfig(parseInvocation(['-F', 'none', '-G', ...args]), silentLog)))()
      const text = await ours.catch((error: unknown) => {
        expect(error, args.join(' ')).toBeInstanceOf(CommandError)
        return 'usage'
      })
      expect(shown(text), args.join(' ')).toBe(shown(theirs.stdout))
    }
  })

  test('--lint: findings with their places, as text and as JSON, and the exit status', async () => {
    const bad = join(folder, 'bad')
    writeFileSync(bad, 'Host *\n  Prot 22\n  StrictHostKeyChecking no\n')
    const text = await go('--lint', bad)
    expect(text.status).toBe(1)
    expect(text.stdout.toString()).toMatch(/bad:2: error: there is no keyword Prot.*did you mean Port\?/)
    expect(text.stdout.toString()).toMatch(/bad:3: warning: /)
    const json: unknown = JSON.parse((await go('--lint', '--json', bad)).stdout.toString())
    expect(json).toMatchObject([
      { line: 2, rule: 'unknown' },
      { line: 3, rule: 'weak' },
    ])
    const good = join(folder, 'good')
    writeFileSync(good, 'Host *\n  Port 22\n')
    expect(await go('--lint', good)).toMatchObject({ status: 0, stderr: '' })
    expect((await go('--lint', join(folder, 'missing'))).status).toBe(255)
  })

  test('-G --explain: which line made an option, and which ones lost', async () => {
    const file = join(folder, 'config')
    writeFileSync(file, 'Host host\n  Port 2222\nHost *\n  Port 22\n')
    const { stdout } = await go('-F', file, '-G', '--explain', 'host')
    expect(stdout.toString()).toContain(`port 2222  (${file}:2)\n    not ${file}:4: 22\n`)
    expect(stdout.toString()).toContain('batchmode no  (default)\n')
    const rows: unknown = JSON.parse((await go('-F', file, '--explain', '--json', 'host')).stdout.toString())
    expect(rows).toContainEqual(expect.objectContaining({ property: 'port', values: ['2222'] }))
  })
})

describe('input and output', () => {
  let server: Listening
  beforeAll(async () => {
    server = await startListening()
  })
  afterAll(() => server.close())
  const words = (...more: string[]): string[] => [
    ...[tssh, '-F', 'none', '-p', String(server.server.port), '-i', server.identity, '-o', 'IdentityAgent=none'],
    ...['-o', `UserKnownHostsFile=${server.knownHosts}`, '-o', 'GlobalKnownHostsFile=none', '127.0.0.1', ...more],
  ]

  test('every byte passes in both directions, and the end of the input is the end', async () => {
    const input = Buffer.from(Array.from({ length: 1024 }, (_, index) => index & 255))
    const ran = await runProgram(process.execPath, words('cat'), { input })
    expect(ran.status).toBe(0)
    expect(ran.stdout.equals(input)).toBe(true)
    expect((await runProgram(process.execPath, words('wc -c'))).stdout.toString().trim()).toBe('0')
  })

  test('a file comes through whole, to where another program has read it, with new keys on the way', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tssh-file-'))
    try {
      const [input, output] = [join(folder, 'in'), join(folder, 'out')]
      const bytes = randomBytes(3_000_000)
      writeFileSync(input, bytes)
      const [first, ...rest] = words('cat')
      const script = '{ dd bs=1000 count=1 of=/dev/null 2>/dev/null; "$@"; } <"$0" >"$OUTPUT"'
      const args = ['-c', script, input, process.execPath, first!, '-o', 'RekeyLimit=1M', ...rest]
      const ran = await runProgram('/bin/sh', args, { env: { OUTPUT: output } })
      expect(ran).toMatchObject({ status: 0, stderr: '' })
      expect(readFileSync(output).equals(bytes.subarray(1000))).toBe(true)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('-E writes the log to a file, -q says nothing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tssh-log-'))
    try {
      const [, ...rest] = words('true')
      const ran = await runProgram(process.execPath, [tssh, '-v', '-E', join(folder, 'log'), ...rest])
      expect(ran).toMatchObject({ status: 0, stderr: '' })
      const refused = await runProgram(process.execPath, [tssh, '-E', join(folder, 'no', 'log'), ...rest])
      expect(refused.stderr).toContain("Couldn't open logfile")
      const quiet = await runProgram(process.execPath, [tssh, '-q', '-L', '1:a:2', ...rest])
      expect(quiet).toMatchObject({ status: 0, stderr: '' })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
