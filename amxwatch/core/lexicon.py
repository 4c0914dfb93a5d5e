"""The words that names of tables and columns are made of: abbreviations, units, English words.

Written for this project from general knowledge of how people name things; no entry belongs to
one schema. Data only: `core.naming` reads names with it.
"""

from __future__ import annotations


def _pairs(text: str) -> dict[str, str]:
    entries = (entry.split(maxsplit=1) for entry in text.replace("\n", " ").split(","))
    return {entry[0]: entry[1] for entry in entries if len(entry) == 2}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABBREVIATIONS: dict[str, str] = _pairs("""
abbr abbreviation, absn absence, accnt account, acct account, act actual, actv active,
addr address, adj adjustment, adm admission, admin administrator, agg aggregate, agt agent,
alloc allocation, alt alternative, amt amount, ans answer, app application, appl application,
appr approval, apprv approved, appt appointment, arr arrival, asgn assigned, assoc association,
attr attribute, auth authorization, avail available, avg average, bal balance, bbl barrel,
bday birthday, beg beginning, bgn begin, bill billing, bldg building, bnft benefit, brnd brand,
brth birth, bus business, cal calendar, calc calculated, cap capacity, carr carrier, cat category,
ccy currency, cd code, cert certificate, cfg configuration, chg charge, chk check, chnl channel,
clm claim, clr color, cls class, cmnt comment, cmpgn campaign, cmpl completion, cmt comment,
cncl cancelled, cnt count, cntct contact, cntr counter, cntrct contract, cntry country,
coef coefficient, col column, comm commission, comp company, cond condition, conf confirmation,
config configuration, conn connection, cont contact, contr contract, coord coordinate,
corp corporate, cpcty capacity, cpn coupon, crd card, cre created, crea created, crncy currency,
crs course, crt created, cstmr customer, ctgry category, ctr center, ctry country, cty city,
cum cumulative, curr current, cust customer, cxl cancelled, dat date, db database, dec decimal,
def default, del deleted, deliv delivery, dept department, desc description, descr description,
dest destination, dev device, diag diagnosis, diff difference, dim dimension, dir direction,
disc discount, disch discharge, disp display, dist distance, distr district, div division,
dlvr delivery, dlvrd delivered, dlvry delivery, dly daily, dob date of birth, doc document,
dod date of death, dpt department, dscnt discount, dscntd discontinued, dscr description, dt date,
dte date, dtl detail, dtls details, dtm date and time, dttm date and time, dur duration,
edu education, eff effective, elev elevation, elig eligible, eml email, emp employee,
enc encounter, env environment, eom end of month, eoy end of year, eqp equipment, equip equipment,
err error, esc escalation, est estimated, eth ethnicity, eval evaluation, evt event,
exc exception, exch exchange, exec execution, exp expiration, expr expiration, ext external,
fac facility, fcst forecast, fct fact, fin financial, fk foreign key, flg flag, fmt format,
fname first name, freq frequency, frst first, fst first, func function, fwd forward, gend gender,
geo geographic, gndr gender, govt government, grp group, hdr header, hh household, hist history,
hol holiday, hosp hospital, hq headquarters, hr hour, hrs hours, ht height, ident identifier,
idx index, img image, imp import, inc income, incl included, ind indicator, indiv individual,
indus industry, info information, init initial, inq inquiry, ins insurance, insp inspection,
inst institution, instr instruction, intl international, inv invoice, invc invoice,
invntry inventory, itm item, jrnl journal, lang language, lat latitude, lbl label, len length,
lgl legal, lic license, lmt limit, ln line, lname last name, lng longitude, loc location,
lon longitude, lst last, lvl level, maint maintenance, manu manufacturer, max maximum, mbr member,
meas measure, med medical, mem member, merch merchant, meth method, mfg manufacturing,
mfr manufacturer, mgmt management, mgr manager, min minimum, misc miscellaneous, mkt market,
mktg marketing, mname middle name, mnth month, mo month, mod modified, modif modified, mon month,
msg message, msr measure, mstr master, mtd month to date, mth month, mthd method, mthly monthly,
mtrl material, nat national, natl national, nbr number, nm name, nme name, no number, nr number,
ntwk network, num number, obj object, oblig obligation, obs observation, occ occupation,
oper operation, opp opportunity, opt option, ord order, ordr order, org organization,
orig original, param parameter, parm parameter, pat patient, pct percent, perf performance,
perm permission, pers person, pfx prefix, ph phone, phn phone, pic picture, pk primary key,
pkg package, plcy policy, pln plan, pmt payment, pos position, posn position, prc price,
prcs process, prd product, pref preferred, prem premium, prev previous, pri primary, prim primary,
prio priority, proc procedure, prod product, prof profile, prog program, proj project,
prom promotion, promo promotion, prop property, prov provider, prsn person, prtnr partner,
prty priority, pstl postal, pt patient, pts points, pub published, publ publication,
purch purchase, pwd password, pymt payment, qlty quality, qn question, qry query, qtr quarter,
qtrly quarterly, qty quantity, qual qualification, quant quantity, rcpt receipt, rcv received,
rcvd received, rec record, recd received, recpt receipt, ref reference, reg registration,
rel relationship, rem remaining, rep representative, req request, reqd required, res resource,
resp response, rev revenue, rfnd refund, rgn region, rm room, rnk rank, rpt report, rsn reason,
rsrc resource, rte route, rtn return, rtng rating, rtrn return, sal salary, schd schedule,
sched schedule, sec second, sect section, seg segment, seq sequence, ser serial, serv service,
sess session, sev severity, sfx suffix, sgmnt segment, shp shipping, shpd shipped, shpmt shipment,
shpt shipment, sig signature, sls sales, sms text message, snap snapshot, soc social,
spec specification, specs specifications, splr supplier, sprt support, sq square, src source,
srv service, srvc service, ssn social security number, sta station, stat status, stck stock,
std standard, stdt start date, stg staging, stk stock, stmt statement, str street, strt start,
sts status, subj subject, subs subscription, subscr subscription, subtot subtotal, sup supplier,
supp supplier, supv supervisor, svc service, sys system, sz size, tbl table, tckt ticket,
tech technical, tel telephone, terr territory, tgt target, thru through, tm time, tmp temporary,
tms time, tot total, trans transaction, transf transfer, trgt target, trk tracking, trl trial,
trmt treatment, trn transaction, trt treatment, trx transaction, ts timestamp, txn transaction,
txt text, typ type, tz time zone, uid user identifier, univ university, uom unit of measure,
upd updated, updt updated, usr user, util utilization, val value, var variable, veh vehicle,
ver version, vers version, vis visit, vndr vendor, vol volume, vrfd verified, vst visit,
wgt weight, wh warehouse, whs warehouse, whse warehouse, wk week, wkly weekly, wrk work,
wt weight, xfer transfer, xref cross-reference, yr year,
stts status, grs gross, lftm lifetime, reord reorder, yrly yearly, yrs years, ytd year to date
""")
"""Abbreviation -> what it stands for, in lower case."""

ACRONYMS: frozenset[str] = _words("""
api asn atm b2b bic bmi bom ceo cpt cpu crm css csv dna dns drg ean ehr erp etl eu eur gbp usd jpy
faq fda ftp fx gdp gdpr gl gmt gps gtin guid hcpcs html http iata iban icd icu imei imsi iot ip
ipv4 ipv6 isbn isin iso jpeg json kpi kyc lan ldap loinc mac mime mri ndc npi ocr oem pdf png po
qr ram rfid roi rsa rss sap sdk seo sic sku sla smtp sql ssh ssl sso tcp tls ttl udp uk upc uri
url usa usb utc uuid vat vin vip vpn wan wifi xml yaml """)
"""Tokens that are written in capitals."""

UNITS: dict[str, str] = _pairs("""
bytes bytes, celsius degrees Celsius, cm centimeters, days days, eur EUR,
fahrenheit degrees Fahrenheit, ft feet, g grams, gb gigabytes, gbp GBP, hours hours, hrs hours,
jpy JPY, kb kilobytes, kg kilograms, km kilometers, kwh kilowatt hours, lb pounds, lbs pounds,
m2 square meters, m3 cubic meters, mb megabytes, mg milligrams, mins minutes, minutes minutes,
ml milliliters, mm millimeters, months months, ms milliseconds, oz ounces, pixels pixels,
px pixels, seconds seconds, secs seconds, try TRY, usd USD, weeks weeks, years years
""")
"""A unit that ends a name -> how it is written out."""

WORDS: frozenset[str] = _words("""
a able about above abstract accept acceptance access accident according account accrual accuracy
action active activity actual add addition additional address adjust adjustment administration
administrator admission admit adult advance affiliate after age agency agent aggregate agreement
air alert alias all allergy allocation allow alternate alternative amount an analysis analyst and
annual answer any apartment applicant application apply appointment approval approve archive area
arrival arrive article asset assign assignment associate association at attachment attempt
attendance attribute auction audit author authority authorization auto availability available
average award back background backup bad badge bag balance band bank bar barcode base basis basket
batch battery bed before begin beginning behavior benefit best bid big bill billing bin birth
birthday block blog blood board body bond bonus book booking born both bottom box branch brand
break brief brother browser bucket budget buffer bug build building bulk business button buy buyer
buying by cache calendar call callback caller campaign cancel cancellation cancelled candidate
capacity capital caption card cardinality care career cargo carrier carry cart case cash cast
catalog category cause cell census center central certificate chain change channel chapter
character charge chart chat check checkout checksum child children choice city claim class
classification clean clear click client clinic clinical clock close closing cloud club cluster
code coefficient cohort cold collect collection color column comment comments commercial
commission commit committee commodity common community company compare compensation competition
complaint complete completion component composite computer concept condition confidence
configuration confirm confirmation connection consent constraint consumer consumption contact
contacts container content contents contest context continent contract contractor control
conversation conversion convert cookie coordinate copy core corporate correct cost count counter
country county coupon course court cover coverage create created creation creator credit crew
criteria crop cross culture cumulative currency current curve custom customer cut cycle daily
damage dashboard data database dataset date dates day days dead deadline deal dealer death debit
debt decimal decision deck default delay delete deleted deliver delivery demand demographic
density department departure deposit depth description design desk destination detail details
device diagnosis diagram diet difference digest digital dimension direct direction director
disability disable disc discharge discontinue discount discussion disease disk display distance
distribution district division document documentation dollar domain done door dosage dose double
down download draft drive driver drop drug due duplicate duration duty early earn earnings edge
edit edition editor education effect effective effort elapsed election electronic element
elevation eligibility eligible email emergency employee employer employment empty enable enabled
encounter encryption end ending energy engine engineer enroll enrollment entity entrance entry
environment episode equipment equity error escalation estimate ethnicity evaluation even event
evidence exam example exception exchange exclude execution exempt exercise exhibit exit expected
expense expenses experience expert expiration expire expiry export exposure expression extension
extent external extra eye fabric face facility fact factor failure fair family farm fax feature
federal fee feed feedback feet female fiber field figure file filename fill film filter final
finance financial finding finish fire firm first fiscal fit fix fixed flag fleet flight floor flow
fluid folder follow follower food foot for forecast foreign form formal format former formula
forum forward fraction fragment frame fraud free freight frequency friend from front fuel full
function fund funding future gain game gap gas gate gateway gender general generation generic gift
given global goal gold good goods government grade graduate grant graph green gross group growth
guarantee guest guide half hand handle hardware has hash have hazard head header headline health
heart heat height help hidden hide high hire history hit hold holder holding holiday home
horizontal hospital host hotel hour hours house household human icon identification identifier
identity image impact import in inbound incident include income incoming index indicator
individual industry infection information initial input inspection install instance institution
instruction insurance intake integration intensity interaction interest interface internal
international internet interval interview introduction inventory investment investor invitation
invoice is issue item job join journal key keyword kind knowledge lab label labor laboratory land
landing language last late later latest latitude launch law layer layout lead leader league leave
left legacy legal length lesson letter level liability library license life lifetime like limit
line lines link list listing live load loan local locale location lock log login logo long
longitude loss lot low loyalty machine mail mailing main maintenance major make male management
manager manual manufacturer manufacturing map margin marital mark market marketing master match
material matrix maturity maximum mean measure measurement media median medical medication medicine
medium meeting member membership memo memory menu merchant message metadata meter method metric
middle migration mile military minimum minor minute mission mobile mode model moderator modified
module moment money monitor month monthly mortgage mother motor mount move movement movie multiple
music name names nation national nationality native natural need negative neighborhood net network
new news next night node nominal normal note notes notice notification number nurse object
objective observation occupation occurrence of off offer office officer offset old on online only
open opening operating operation operator opinion opportunity opt option optional or order ordered
orders organism organization origin original other out outbound outcome outgoing output
outstanding over overall overdue overtime owner ownership package page paid paint paper parameter
parent park parking part partial participant partition partner party pass passenger passport
password past patch path patient pattern pause pay payer payment payments payroll peak penalty
pending pension people per percent percentage performance period permission permit person personal
pharmacy phase phone photo phrase physical physician picture piece pixel place plain plan planned
plant platform play player playlist plot point policy poll pool population port portal portfolio
position positive possession post postal posting potential power practice preference preferred
prefix premium prescription present presentation pressure preview previous price pricing primary
print priority privacy private privilege prize probability problem procedure process processed
processing producer product production profession professional profile profit program progress
project promotion proof property proposal protection protocol provider province provision public
publication publish publisher purchase purpose push quality quantity quarter quarterly query
question queue quick quiz quota quotation quote race rack radio radius rain random range rank
ranking rate rates rating ratio raw reach read reader ready real reason rebate receipt receive
received receiver recent recipe recipient recommendation record recording recovery recurring red
redirect reduction reference referral refund region regional register registration registry
regular reject rejection relation relationship release relevance religion remaining remark remarks
reminder remote removal remove renewal rent rental reorder repair repeat replace replacement reply
report reporter reporting repository representative request requester required requirement rescue
research reservation reserve reset residence resident resolution resource response responsibility
rest result results retail retention retry return revenue reverse review reviewer revision reward
right risk role roll room root rotation round route routing row rows royalty rule run safety
salary sale sales sample sampling satisfaction save savings scale scan scenario schedule scheduled
schema scholarship school science scope score scrap screen script search season seat second secret
section sector security segment select selection self sell seller selling semester send sender
sensor sent sequence serial series server service session set setting settings settlement setup
severity sex shape share shelf shift ship shipment shipping shop short show side sign signal
signature single site size skill sku slot slug small social society software sold solution sort
sound source space spare special species specification specimen speed spend split sponsor spouse
staff stage staging stamp standard star start starting state statement station statistics status
stay step stock stop storage store story strategy stream street strength string structure student
study style subcategory subject submission subregion subscriber subscription subtotal subtype
success suffix suggestion suite summary supervisor supplier supply support surface surgery surname
survey suspend symbol symptom sync system table tag tags target task tax team technical technology
telephone temperature template temporary tenant term terminal termination terms territory test
text theme therapy thread threshold through thumbnail ticket tier time timeout timestamp timezone
tip title to today token tone tool top topic total touch tour town track tracking trade trading
traffic trailer training transaction transfer transform transit translation transport travel
treatment tree trend trial trigger trip truck trust type typical unique unit units university
unknown until up update updated upgrade upload uploaded upper urgent usage use used user username
vacation valid validation validity valuation value values variable variance variant vehicle vendor
venue verification verified version vertical video view viewer violation visibility visible visit
visitor visits vital voice void volume vote voucher wage wait waiting wallet ward warehouse
warning warranty waste water wave way weather web website week weekday weekend weekly weight west
wholesale width window winner wire with withdrawal word words work worker workflow working
workplace workspace world worth write writer year yearly years yes yield zero zip zone lineage
salesperson backorder acknowledge microbiology carton pallet nick dry wet frozen chilled raw bottle
dispense dispensed alpha numeric alphabetic antibody bacteria culture solution wait awake asleep
""")
"""English words that turn up in names, in lower case, mostly singular."""

PARTICIPLES: frozenset[str] = _words("""
begun bought built done drawn given held known left lost made paid put read run seen sent set
shown sold taken told withdrawn written
""")
"""Past participles that do not end in -ed."""

UNCHANGED: frozenset[str] = _words("""
 analytics canvas gas goods headquarters logistics means minus news plus premises sales series
species statistics
""")
"""Words that end in s and are no plural, or have no singular of the same meaning."""

IRREGULAR: dict[str, str] = _pairs("""
people person, children child, men man, women woman, feet foot, mice mouse, teeth tooth,
criteria criterion, indices index, matrices matrix, vertices vertex, analyses analysis,
diagnoses diagnosis, bases basis
""")
"""Plural -> singular, where no rule tells."""
