// The peer on Node: mercurius with graphql-jit, undici upstream, fast-xml-parser for SOAP; written as their documentation shows.
import { readFileSync } from 'node:fs'
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { Pool } from 'undici'
import { XMLParser } from 'fast-xml-parser'

const rest = new URL(process.env.BENCH_REST_URL)
const soap = new URL(process.env.BENCH_SOAP_URL)
const pool = new Pool(rest.origin, { connections: 64, pipelining: 1 })

const codes = (map) => (text) => {
  if (text == null || text === '') return null
  const member = map[text]
  if (member === undefined) throw new Error(`unknown code ${text}`)
  return member
}
const status = codes({ 10: 'FILED', 20: 'INVESTIGATING', 30: 'LEGAL_REVIEW', 40: 'DECIDED', 50: 'EXECUTING', 90: 'CLOSED' })
const procedure = codes({ 1: 'SUMMARY', 2: 'ORDINARY', 3: 'FAST_TRACK' })
const entry = codes({ 0: 'REALTIME', 1: 'BACKFILL' })
const secrecy = codes({ 0: 'PUBLIC', 1: 'INTERNAL' })
const partyType = codes({ 1: 'ORGANIZATION', 2: 'INDIVIDUAL', 3: 'SOLE_TRADER' })
const certType = codes({ 1: 'NATIONAL_ENFORCEMENT', 2: 'MINISTRY_ENFORCEMENT', 3: 'ENFORCEMENT_SUPERVISION' })
const validity = codes({ 1: 'VALID', 2: 'SUSPENDED' })

const DAY = /^\d{4}-\d\d-\d\d$/
const date = (text) => {
  if (text == null || text === '') return null
  const day = text.slice(0, 10)
  if (!DAY.test(day) || Number.isNaN(Date.parse(day))) throw new Error('bad date')
  return day
}
const moment = (text) => {
  const written = text.replace(' ', 'T') + '+08:00'
  if (Number.isNaN(Date.parse(written))) throw new Error('bad time')
  return written
}
const AMOUNT = /^\d+(\.\d+)?$/
const money = (text, unit) => {
  if (!AMOUNT.test(text)) throw new Error('bad amount')
  const fen = Math.round(Number(text) * unit)
  return `${Math.floor(fen / 100)}.${String(fen % 100).padStart(2, '0')}`
}
const flag = (text) => {
  if (text === '1' || text === 'true') return true
  if (text === '0' || text === 'false') return false
  throw new Error('bad flag')
}
const LETTERS = '0123456789ABCDEFGHJKLMNPQRTUWXY'
const VALUES = new Map([...LETTERS].map((letter, value) => [letter, value]))
const WEIGHTS = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]
const uscc = (code) => {
  let total = 0
  for (let i = 0; i < 17; i++) total += VALUES.get(code[i]) * WEIGHTS[i]
  if (code.length !== 18 || LETTERS[(31 - (total % 31)) % 31] !== code[17]) throw new Error('bad USCC')
  return code
}

async function ask(path) {
  const answer = await pool.request({ path, method: 'GET' })
  const told = await answer.body.json()
  if (answer.statusCode !== 200 || told.code !== '0') throw new Error('upstream refused')
  return told.data
}

const caseOf = (r) => ({
  sourceCaseNo: r.AJBH,
  caseName: r.AJMC,
  causeOfAction: r.AY,
  agencyCode: uscc(r.BAJG),
  undertakeDept: r.CBKS,
  procedureType: procedure(r.CXLX),
  caseStatus: status(r.AJZT),
  filedDate: date(r.LASJ),
  violationPlace: r.WFDD,
  violationDivisionCode: r.WFDQH,
  violationStartDate: date(r.WFKSRQ),
  violationEndDate: date(r.WFZZRQ),
  violationFact: r.WFSS,
  involvedAmount: money(r.SAJE, 1e6),
  isMajor: flag(r.SFZD),
  isOffSite: flag(r.SFFXC),
  entryMode: entry(r.LRFS),
  recordedAt: moment(r.CJSJ),
  closedDate: date(r.JARQ),
  secretLevel: secrecy(r.MJ),
  parties: (r.DSR ?? []).map(partyOf),
  certNos: (r.ZFRY ?? []).map((officer) => officer.ZFZH)
})

const partyOf = (r) => ({
  partyName: r.MC,
  partyType: partyType(r.LX),
  uscc: uscc(r.TYSHXYDM),
  legalRepName: r.FRDB,
  registeredAddress: r.ZCDZ,
  businessAddress: r.JYDZ,
  phone: r.LXDH,
  partyDivisionCode: r.DWQH
})

const officerOf = (r) => ({
  certNo: r.ZFZH,
  officerName: r.XM,
  certType: certType(r.ZJZL),
  certStatus: validity(r.ZJZT),
  certValidTo: date(r.YXQZ)
})

const soapCaseOf = (r) => ({
  sourceCaseNo: r.caseNo,
  caseName: r.title,
  causeOfAction: r.cause,
  caseStatus: status(r.status),
  procedureType: procedure(r.procedure),
  filedDate: date(r.filedOn),
  violationPlace: r.place,
  violationDivisionCode: r.division,
  violationStartDate: date(r.occurredOn),
  violationFact: r.fact,
  involvedAmount: money(r.amount, 100),
  isMajor: flag(r.major),
  isOffSite: flag(r.offSite),
  recordedAt: r.recordedAt,
  closedDate: date(r.closedOn)
})

const xml = new XMLParser({
  removeNSPrefix: true,
  ignoreAttributes: true,
  parseTagValue: false,
  isArray: (name) => name === 'case'
})

async function holder(code) {
  const body =
    '<?xml version="1.0" encoding="utf-8"?>' +
    '<soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Body>' +
    `<ns0:QueryByHolder xmlns:ns0="urn:bench:transport"><ns0:uscc>${uscc(code)}</ns0:uscc></ns0:QueryByHolder>` +
    '</soap-env:Body></soap-env:Envelope>'
  const headers = { soapaction: '"urn:bench:transport/QueryByHolder"', 'content-type': 'text/xml; charset=utf-8' }
  const answer = await pool.request({ path: soap.pathname, method: 'POST', headers, body })
  const told = xml.parse(await answer.body.text()).Envelope.Body.QueryByHolderResponse
  if (answer.statusCode !== 200 || told.head.rtnCode !== '000000') throw new Error('upstream refused')
  return told.body.holder
}

const resolvers = {
  Query: {
    enforcementCase: async (_, { sourceCaseNo }) => caseOf((await ask(`/case?ajbh=${encodeURIComponent(sourceCaseNo)}`)).AJ),
    agency: async (_, { agencyCode }) => {
      const found = (await ask(`/agency?jgdm=${agencyCode}`)).JG
      return { agencyName: found.JGMC, enforcementCases: found.AJLB.map(caseOf) }
    },
    party: async (_, { uscc }) => {
      const found = await holder(uscc)
      return { partyName: found.name, uscc: found.uscc, enforcementCases: (found.cases.case ?? []).map(soapCaseOf) }
    }
  }
}

const loaders = {
  EnforcementCase: {
    officers: {
      async loader(queries) {
        const numbers = [...new Set(queries.flatMap(({ obj }) => obj.certNos ?? []))]
        const { list } = await ask(`/officers?zfzh=${encodeURIComponent(numbers.join(','))}`)
        const officers = new Map(list.map((record) => [record.ZFZH, officerOf(record)]))
        return queries.map(({ obj }) => (obj.certNos ?? []).map((number) => officers.get(number)))
      },
      opts: { cache: false }
    }
  }
}

const app = Fastify({ logger: false })
app.register(mercurius, {
  schema: readFileSync(new URL('schema.graphql', import.meta.url), 'utf8'),
  resolvers,
  loaders,
  jit: 1
})
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) })
