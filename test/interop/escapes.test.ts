import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { haveProgram } from '../support/programs.ts'
import { freePort, type RunningSshd, startSshd } from '../support/sshd.ts'
import { type OnTerminal, onTerminal } from '../support/terminal.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** What is typed after `~C` does and says in tssh what it does and says in ssh, at sshd and at tsshd. */

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const words: Readonly<Record<string, readonly string[]>> = { ssh: ['ssh'], tssh: [process.execPath, tssh] }

/** What comes back of what is sent; undefined when nobody listens. */
const roundTrip = (to: { port: number } | { path: string }, text: string): Promise<string | undefined> =>
  new Promise(resolve => {
    const socket: Socket = 'port' in to ? connect(to.port, '127.0.0.1') : connect(to.path)
    let answer = ''
    socket.setTimeout(5000, () => socket.destroy())
    socket.on('connect', () => socket.end(text))
    socket.on('data', chunk => (answer += chunk.toString('latin1')))
    socket.on('error', () => resolve(undefined))
    socket.on('close', () => resolve(answer))
  })

/** What a SOCKS 4 client is told, and then gets back. */
const socksTrip = (port: number, request: string): Promise<string> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(request, 'latin1')))
    let answer = ''
    socket.setTimeout(5000, () => socket.destroy())
    socket.on('data', chunk => {
      answer += chunk.toString('hex')
      if (answer.length === 16) socket.write('socks')
      else if (answer.length > 16) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh'))('escapes', { timeout: 120_000 }, () => {
  let sshd: RunningSshd
  let tsshd: RunningTsshd
  let echo: Server
  let echoPort = 0
  let folder = ''
  const running = new Set<OnTerminal>()
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-escapes-'))
    sshd = await startSshd()
    tsshd = await startTsshd()
    echo = createServer({ allowHalfOpen: true }, socket => socket.pipe(socket).on('error', () => {}))
    echoPort = await new Promise(resolve =>
      echo.listen(0, '127.0.0.1', () => {
        const address = echo.address()
        resolve(typeof address === 'object' && address ? address.port : 0)
      }),
    )
  })
  afterEach(() => {
    for (const terminal of running) terminal.kill()
    running.clear()
  })
  afterAll(async () => {
    sshd?.close()
    await tsshd?.close()
    echo?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** A session with `cat` on a terminal. */
  const begin = async (program: string, server: RunningSshd | RunningTsshd, ...more: string[]): Promise<OnTerminal> => {
    const options = [`UserKnownHostsFile=${server.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
    const [file = '', ...args] = words[program]!
    const terminal = onTerminal(
      file,
      [
        ...[...args, '-F', 'none', '-p', String(server.port), '-i', server.identity],
        ...[...options, 'UpdateHostKeys=no', ...more].flatMap(option => ['-o', option]),
        ...['-tt', '127.0.0.1', 'echo ready; exec cat'],
      ],
      { SHELL: '/bin/sh', SSH_ASKPASS: '' },
    )
    running.add(terminal)
    await terminal.sees(/ready\r\n/)
    return terminal
  }

  let marks = 0
  /** Types until it comes back, so that the session has the terminal again. */
  const settle = async (terminal: OnTerminal): Promise<void> => {
    const mark = `mark-${++marks}-`
    for (let tries = 0; !terminal.shown().includes(`${mark}\r\n${mark}\r\n`); tries++) {
      if (tries > 100) throw new Error(`the session does not go on:\n${terminal.shown()}`)
      if (tries % 10 === 0) terminal.type(`${mark}\r`)
      await new Promise(resolve => setTimeout(resolve, 30))
    }
  }
  /** What is shown in answer to a line of the command line. */
  const answer = async (terminal: OnTerminal, line: string): Promise<string[]> => {
    terminal.type('\r~C')
    await terminal.sees(/ssh> $/)
    const from = terminal.shown().length
    // Until it is shown, what is typed next could be thrown away with it.
    terminal.type(line)
    // What is typed before Ctrl-C need not be shown.
    const printed = /[\x00-\x1f]/.test(line) ? '' : line
    if (printed) await terminal.sees(new RegExp(printed.replace(/[^\w ]/g, '\\$&')))
    terminal.type('\r')
    await settle(terminal)
    const shown = terminal.shown().slice(from).replaceAll('\r', '').split('\n')
    // Of a mark that was typed while the terminal changed hands only the end may be left.
    return shown.slice(1).filter(text => text !== '' && !/^m?a?r?k?-?\d*-$/.test(text))
  }

  const attempt = async (program: string, server: RunningSshd | RunningTsshd): Promise<unknown[]> => {
    const [local, dynamic, remote] = [await freePort(), await freePort(), await freePort()]
    const path = join(folder, `${program}-${server.port}.sock`)
    const written = join(folder, `${program}-${server.port}.out`)
    const ports: Readonly<Record<string, number>> = { LOCAL: local, DYNAMIC: dynamic, REMOTE: remote, ECHO: echoPort }
    const terminal = await begin(program, server, 'EnableEscapeCommandline=yes', 'PermitLocalCommand=yes')
    const found: unknown[] = []
    const say = async (line: string): Promise<void> => {
      let real = line.replaceAll('PATH', path).replaceAll('WRITTEN', written)
      for (const [name, port] of Object.entries(ports)) real = real.replaceAll(name, String(port))
      const shown = (await answer(terminal, real)).map(text => {
        let general = text.replaceAll(path, 'PATH')
        for (const [name, port] of Object.entries(ports)) general = general.replaceAll(String(port), name)
        return general
      })
      found.push([line, ...shown])
    }
    const ask = async (to: { port: number } | { path: string }): Promise<void> => {
      found.push(await roundTrip(to, 'round trip'))
    }
    for (const line of ['', '-', ' ?', '-Help', 'nonsense', '-K', '-KX1']) await say(line)
    for (const line of ['-L bad', '-L70000:127.0.0.1:1', '-L 4:5 6', '-Rx', '-D a:b:c:d', '-KL']) await say(line)
    await say('  -L   LOCAL:127.0.0.1:ECHO')
    await ask({ port: local })
    await say('-LLOCAL:127.0.0.1:ECHO')
    await say('-KDLOCAL')
    await say('-KL 127.0.0.1:LOCAL')
    await say('-KL*:LOCAL')
    await ask({ port: local })
    await say('-KLLOCAL')
    await say('-LPATH:127.0.0.1:ECHO')
    await ask({ path })
    await say('-KLPATH')
    await ask({ path })
    await say('-R REMOTE:127.0.0.1:ECHO')
    await ask({ port: remote })
    await say('-KRlocalhost:REMOTE')
    await say('-KRREMOTE')
    await ask({ port: remote })
    await say('-RPATH-remote:127.0.0.1:ECHO')
    await ask({ path: `${path}-remote` })
    await say('-KRPATH-remote')
    await say('-DDYNAMIC')
    const asked = Buffer.from([4, 1, echoPort >> 8, echoPort & 255, 127, 0, 0, 1, 0]).toString('latin1')
    found.push(await socksTrip(dynamic, asked))
    await say('-KDDYNAMIC')
    await say('!')
    await say('!echo "$0" done > WRITTEN; exit 3')
    found.push(readFileSync(written, 'utf8'))
    terminal.type('\r~.')
    await terminal.sees(/Connection to 127\.0\.0\.1 closed\.\r/)
    found.push(await terminal.exit)
    return found
  }

  test('~C: forwards are made and ended, local commands are run, in the same words', async () => {
    const [theirs, ...ours] = await Promise.all([attempt('ssh', sshd), attempt('tssh', sshd), attempt('tssh', tsshd)])
    for (const other of ours) expect(other).toEqual(theirs)
    // That both did it, and not both nothing.
    expect(theirs.filter(one => one === 'round trip')).toHaveLength(4)
    expect(theirs.filter(one => one === undefined)).toHaveLength(3)
    expect(theirs).toContain(`005a${'0'.repeat(12)}${Buffer.from('socks').toString('hex')}`)
  })

  const both = <T>(attempt: (program: string) => Promise<T>): Promise<T[]> => Promise.all(['ssh', 'tssh'].map(attempt))

  test('~C: a connection outlives the end of its forwarding, and is listed; Ctrl-D and Ctrl-C leave the line', async () => {
    const shown = await both(async program => {
      const port = await freePort()
      const forward = `LocalForward=${port} 127.0.0.1:${echoPort}`
      const terminal = await begin(program, sshd, 'EnableEscapeCommandline=yes', forward)
      const socket = connect(port, '127.0.0.1')
      const heard = (text: string): Promise<void> =>
        new Promise((resolve, reject) => {
          socket.once('data', data => (data.toString() === text ? resolve() : reject(new Error(data.toString()))))
          socket.once('error', reject)
          socket.write(text)
        })
      await heard('before')
      terminal.type('\r~#')
      const from = `connect from 127\\.0\\.0\\.1 port \\d+ to 127\\.0\\.0\\.1 port ${port}`
      await terminal.sees(/are open:[\r\n]+ {2}#\d+ client-session/)
      await terminal.sees(
        new RegExp(`#\\d+ direct-tcpip: listening port ${port} for 127\\.0\\.0\\.1 port ${echoPort}, ${from}`),
      )
      const answers = [await answer(terminal, `-KL${port}`), await roundTrip({ port }, 'x')]
      await heard('after')
      socket.destroy()
      const left = [...(await answer(terminal, '\x04')), ...(await answer(terminal, 'abc\x03'))]
      terminal.type('\r~C')
      await terminal.sees(/ssh> $/)
      terminal.type('?\x7f-KL1\r')
      await terminal.sees(/Unknown port forwarding\.\r/)
      await settle(terminal)
      terminal.type('\r~.')
      return [...answers, left.filter(line => !/^abc|^\^C/.test(line)), await terminal.exit]
    })
    for (const one of shown) expect(one).toEqual([['Canceled forwarding.'], undefined, [], 255])
  })

  test('~C: -R 0 and a refused -R are told of', async () => {
    const terminal = await begin('tssh', tsshd, 'EnableEscapeCommandline=yes')
    terminal.type('\r~C')
    await terminal.sees(/ssh> $/)
    terminal.type(`-R0:127.0.0.1:${echoPort}\r`)
    const port = Number(/\d+/.exec(await terminal.sees(/Allocated port \d+ for remote forward/))?.[0])
    expect(await roundTrip({ port }, 'chosen')).toBe('chosen')
    await settle(terminal)
    terminal.type('\r~C')
    await terminal.sees(/ssh> $/)
    // The server listens there already.
    terminal.type(`-R${port}:127.0.0.1:${echoPort}\r`)
    await terminal.sees(new RegExp(`Warning: remote port forwarding failed for listen port ${port}`))
    await settle(terminal)
    expect(await roundTrip({ port }, 'as before')).toBe('as before')
    expect(await answer(terminal, `-KR${port}`)).toEqual(['Canceled forwarding.'])
    expect(await roundTrip({ port }, 'x')).toBeUndefined()
  })

  test('the other escapes say what they say in ssh, and ~C may be disabled', async () => {
    const [theirs, ours] = await both(async program => {
      const terminal = await begin(program, sshd, 'EnableEscapeCommandline=no')
      const said: string[] = []
      // One at a time, and no level that would say more between them.
      for (const key of 'VVVVvvvvVBxC') {
        terminal.type(`\r~${key}`)
        said.push(await terminal.sees(/~[Vv] \[\w+ \w+\]\r\n|~B\r\n|~x|commandline disabled\r\n/))
      }
      return said
    })
    expect(ours).toEqual(theirs)
    expect(theirs).toContain('~V [LogLevel SILENT]\r\n')
    expect(theirs).toContain('commandline disabled\r\n')
  })
})
