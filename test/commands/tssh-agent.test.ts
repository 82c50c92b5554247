import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCommandLine } from '../../commands/tssh-agent/command-line.ts'
import { quoteForShell, setVariable, unsetVariable } from '../../commands/tssh-agent/shell-output.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { loadAgentProtection } from '../../src/native/agent-protection.ts'
import { hostTag } from '../../src/net/agent-folder.ts'
import { connectAgent } from '../../src/net/agent-socket.ts'
import { ours, startAgentProgram } from '../support/agents.ts'
import { runProgram } from '../support/listening.ts'
import { findProgram, haveProgram } from '../support/programs.ts'

const agent = ours('tssh-agent')
const protection = loadAgentProtection()
const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runProgram(agent[0], [...agent.slice(1), ...args], { env })

/** Not one that only waits for its parent to ask how it ended. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-agent-test-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))

/** A new home folder. */
const newHome = (): string => mkdtempSync(join(folder, 'home-'))

describe('what a shell evaluates', () => {
  test.each(['/tmp/ssh-x/agent.1', 'plain', "it's", 'a b', '$(touch x)', '`id`', '"', '\\', 'a!b', '*'])(
    '%s comes back from sh as it was',
    async text => {
      expect(quoteForShell('/home/u/.ssh/agent/s.x.agent.y', 'sh')).toBe('/home/u/.ssh/agent/s.x.agent.y')
      const ran = await runProgram('/bin/sh', ['-c', `${setVariable('sh', 'X', text)} printf %s "$X"`])
      expect(ran.stdout.toString()).toBe(text)
    },
  )

  test('both dialects', () => {
    expect(setVariable('csh', 'A', 'b')).toBe('setenv A b;\n')
    expect(unsetVariable('csh', 'A')).toBe('unsetenv A;\n')
    expect(setVariable('sh', 'A', 'b')).toBe('A=b; export A;\n')
    expect(unsetVariable('sh', 'A')).toBe('unset A;\n')
  })

  test('the C shell is known by its name', () => {
    expect(readCommandLine([], '/bin/tcsh').shell).toBe('csh')
    expect(readCommandLine(['-s'], '/bin/tcsh').shell).toBe('sh')
    expect(readCommandLine([], '/bin/bash').shell).toBe('sh')
    expect(readCommandLine(['-c'], undefined).shell).toBe('csh')
  })

  test.each([
    [['-c', '-s']],
    [['-d', '-D']],
    [['-k', 'command']],
    [['-x']],
    [['-t', 'bogus']],
    [['-E', 'nothing']],
    [['-O', 'x']],
    [['-P', 'a', '-P', 'b']],
    [['-O', 'websafe-allow=a', '-O', 'websafe-allow=b']],
  ])('%j is refused', args => {
    expect(() => readCommandLine(args, undefined)).toThrow()
  })
})

describe('in the background', () => {
  test('prints where it is, listens for its user alone, ends by -k and cleans up', async () => {
    const started = await startAgentProgram(agent)
    try {
      const { home, socket, pid, output } = started
      expect(output).toBe(
        `SSH_AUTH_SOCK=${socket}; export SSH_AUTH_SOCK;\nSSH_AGENT_PID=${pid}; export SSH_AGENT_PID;\necho Agent pid ${pid};\n`,
      )
      expect(socket.startsWith(`${home}/.ssh/agent/s.${hostTag()}.agent.`)).toBe(true)
      expect(statSync(join(home, '.ssh/agent')).mode & 0o777).toBe(0o700)
      expect(statSync(socket).mode & 0o777).toBe(0o600)
      const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ')
      expect(Number(status[3]), 'a session of its own').toBe(pid)
      const killed = await run(['-k'], started.env)
      expect(killed.stdout.toString()).toBe(
        `unset SSH_AUTH_SOCK;\nunset SSH_AGENT_PID;\necho Agent pid ${pid} killed;\n`,
      )
      await expect.poll(() => isRunning(pid)).toBe(false)
      expect(readdirSync(join(home, '.ssh/agent'))).toEqual([])
    } finally {
      started.stop()
    }
  })

  test('-a, -T and a socket that is in use', async () => {
    const at = join(folder, 'own socket')
    const first = await run(['-s', '-a', at], { HOME: newHome() })
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(first.stdout.toString())?.[1])
    expect(first.stdout.toString()).toContain(`SSH_AUTH_SOCK='${at}'; export`)
    const second = await run(['-a', at], { HOME: newHome() })
    expect([second.status, second.stdout.toString()]).toEqual([1, ''])
    expect(second.stderr).toContain('Address already in use')
    process.kill(pid, 'SIGTERM')
    await expect.poll(() => existsSync(at)).toBe(false)

    const temporary = await startAgentProgram(agent, ['-T'], { TMPDIR: folder })
    expect(temporary.socket.startsWith(`${folder}/ssh-`)).toBe(true)
    expect(temporary.socket).toMatch(/\/ssh-\w{6}\/agent\.\d+$/)
    temporary.stop()
    await expect.poll(() => existsSync(join(temporary.socket, '..'))).toBe(false)
  })

  test.each([
    ['/nonexistent/s', 'unix_listener: cannot bind to path /nonexistent/s: No such file or directory\n'],
    [`/tmp/${'x'.repeat(150)}`, `unix_listener: path "/tmp/${'x'.repeat(150)}" too long for Unix domain socket\n`],
  ])('-a %s is refused in the words of ssh-agent, and nothing is left', async (at, problem) => {
    const ran = await run(['-a', at], { HOME: newHome() })
    expect([ran.status, ran.stdout.toString(), ran.stderr]).toEqual([1, '', problem])
    expect(readdirSync('/tmp').filter(name => name.startsWith('xxxx'))).toEqual([])
  })

  test('SIGUSR1 removes all keys and lets no debugger in', async () => {
    const started = await startAgentProgram(agent)
    const { client, close } = await connectAgent(started.socket)
    try {
      await client.add(generateKey('ed25519'), 'k')
      process.kill(started.pid, 'SIGUSR1')
      await expect.poll(async () => (await client.list()).length).toBe(0)
      const sockets = readFileSync(`/proc/${started.pid}/net/tcp`, 'utf8')
      // 9229, where Node's debugger listens.
      expect(sockets).not.toContain(':240D ')
    } finally {
      close()
      started.stop()
    }
  })

  test.skipIf(!protection)('tracing is refused', () => {
    expect(protection?.refuseTracing()).toBe(true)
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
    const prctl = koffi.load(null).func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    // PR_GET_DUMPABLE
    expect(prctl(3, 0, 0, 0, 0)).toBe(0)
  })

  test.skipIf(process.getuid?.() !== 0 || !protection || !haveProgram('setpriv'))(
    'another user is turned away even where the modes let everybody in',
    async () => {
      const open = mkdtempSync(join(tmpdir(), 'tssh-open-'))
      chmodSync(open, 0o755)
      const at = join(open, 's')
      const started = await run(['-s', '-a', at], { HOME: newHome() })
      const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(started.stdout.toString())?.[1])
      try {
        chmodSync(at, 0o666)
        const asking = `const s = require('net').connect(${JSON.stringify(at)}, () => process.stdout.write('connected'))
          s.on('data', () => { process.stdout.write(' answered'); s.destroy() }).on('error', () => {})
          s.write(Buffer.from([0, 0, 0, 1, 11]))`
        const ask = (uid: number) =>
          runProgram('setpriv', [`--reuid=${uid}`, '--clear-groups', process.execPath, '-e', asking], { timeout: 5000 })
        expect((await ask(0)).stdout.toString()).toBe('connected answered')
        expect((await ask(65534)).stdout.toString()).toBe('connected')
      } finally {
        process.kill(pid, 'SIGTERM')
        rmSync(open, { recursive: true, force: true, maxRetries: 20 })
      }
    },
  )
})

describe('in the foreground', () => {
  test('-D prints its own process and ends with 2 on a signal', async () => {
    const home = newHome()
    const child = spawn(agent[0], [...agent.slice(1), '-D', '-s'], { env: { ...process.env, HOME: home } })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    await expect.poll(() => output, { timeout: 10_000 }).toContain(`echo Agent pid ${child.pid};\n`)
    expect(output).toMatch(/^SSH_AUTH_SOCK=\S+; export SSH_AUTH_SOCK;\necho Agent pid \d+;\n$/)
    const ended = new Promise(resolve => child.on('exit', resolve))
    child.kill('SIGTERM')
    expect(await ended).toBe(2)
    expect(readdirSync(join(home, '.ssh/agent'))).toEqual([])
  })

  const python = findProgram('python3')
  test.skipIf(!python)('a socket that systemd hands over', async () => {
    const home = newHome()
    const at = join(home, 'activated')
    // What systemd does: listens, leaves the socket as descriptor 3 and names the process that it is for.
    const activate = [
      'import os, socket, sys',
      's = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1] + ".new"); s.listen(5)',
      'os.rename(sys.argv[1] + ".new", sys.argv[1])',
      'os.dup2(s.fileno(), 9); os.dup2(9, 3, inheritable=True)',
      'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))',
      'os.execv(sys.argv[2], sys.argv[2:])',
    ].join('\n')
    const child = spawn(python ?? '', ['-c', activate, at, ...agent, '-D'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, HOME: home },
    })
    const ended = new Promise(resolve => child.on('exit', resolve))
    await expect.poll(() => existsSync(at), { timeout: 10_000 }).toBe(true)
    const { client, close } = await connectAgent(at)
    expect(await client.list()).toEqual([])
    close()
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
    expect(existsSync(at)).toBe(true)
  })
})

describe('with a command', () => {
  test('the command has the agent, its status is ours, and the agent goes with it', async () => {
    const home = newHome()
    const ran = await run(['sh', '-c', 'test -S "$SSH_AUTH_SOCK" && echo "$SSH_AGENT_PID" && exit 7'], { HOME: home })
    expect(ran.status).toBe(7)
    const pid = Number(ran.stdout.toString())
    await expect.poll(() => isRunning(pid)).toBe(false)
    expect(readdirSync(join(home, '.ssh/agent'))).toEqual([])
  })

  test('a command that does not exist', async () => {
    const ran = await run(['/nonexistent/command'], { HOME: newHome() })
    expect([ran.status, ran.stderr]).toEqual([1, '/nonexistent/command: No such file or directory\n'])
  })
})

describe('other actions', () => {
  test('-u removes what nobody listens on, after an hour, of this machine; -uu of any', async () => {
    const home = newHome()
    const sockets = join(home, '.ssh/agent')
    mkdirSync(sockets, { recursive: true })
    const make = async (name: string, age: number, keepOpen = false) => {
      const path = join(sockets, name)
      const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
      const server = keepOpen ? createServer().listen(path) : undefined
      if (!server) await runProgram(process.execPath, ['-e', script])
      else await new Promise(resolve => server.on('listening', resolve))
      const time = Date.now() / 1000 - age
      utimesSync(path, time, time)
      return server
    }
    const tag = hostTag()
    await make(`s.${tag}.agent.dead`, 4000)
    await make(`s.${tag}.agent.recent`, 10)
    await make('s.elsewhere.agent.dead', 4000)
    const living = await make(`s.${tag}.agent.living`, 4000, true)
    writeFileSync(join(sockets, 'file'), '')
    const ran = await run(['-u'], { HOME: home })
    expect([ran.status, ran.stdout.toString()]).toEqual([0, 'Deleted stale agent sockets in ~/.ssh/agent\n'])
    const left = ['file', 's.elsewhere.agent.dead', `s.${tag}.agent.living`, `s.${tag}.agent.recent`]
    expect(readdirSync(sockets).sort()).toEqual(left.sort())
    await run(['-uu'], { HOME: home })
    expect(readdirSync(sockets)).not.toContain('s.elsewhere.agent.dead')
    living?.close()
  })

  test('the tag of a machine has ten letters and depends on its name alone', () => {
    expect(hostTag()).toMatch(/^[a-zA-Z0-9]{10}$/)
    expect(hostTag('a')).not.toBe(hostTag('b'))
    expect(hostTag(hostname())).toBe(hostTag())
  })

  test.each([
    [{}, 'SSH_AGENT_PID not set, cannot kill agent\n'],
    [{ SSH_AGENT_PID: 'x' }, 'SSH_AGENT_PID="x", which is not a good PID: invalid\n'],
    [{ SSH_AGENT_PID: '1' }, 'SSH_AGENT_PID="1", which is not a good PID: too small\n'],
    [{ SSH_AGENT_PID: '99999999999' }, 'SSH_AGENT_PID="99999999999", which is not a good PID: too large\n'],
  ])('-k with %j', async (env, problem) => {
    const ran = await run(['-k'], { SSH_AGENT_PID: undefined, ...env })
    expect([ran.status, ran.stderr]).toEqual([1, problem])
  })

  test('a flag about what it cannot do says so', async () => {
    const ran = await run(['-P', '/usr/lib/*', 'true'], { HOME: newHome() })
    expect([ran.status, ran.stderr]).toEqual([
      0,
      'tssh-agent: -P has no effect: this agent loads no PKCS#11 or FIDO libraries\n',
    ])
  })
})
