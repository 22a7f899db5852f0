"""Language: told of a few sentences, and never taken for another; what cannot be told is None."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from laneway.classify.language import language_of
from laneway.evidence.sets import read_set
from laneway.signals import LANGUAGES

SETS = sorted((Path(__file__).parents[2] / "policies").glob("*/evals/*.yaml"))

OURS = [
    ("en", "Please summarise the meeting below for those who could not be there, and say who has to do what by when."),
    ("en", "Is it true that the seller must tell us about every defect, or only about the ones we asked about?"),
    ("sv", "Sammanfatta mötet nedan för dem som inte kunde vara med, och skriv vem som ska göra vad och när det ska vara klart."),
    ("sv", "Måste säljaren berätta om alla fel, eller bara om dem som vi har frågat om? Jag undrar också hur länge vi kan vänta."),
    ("no", "Oppsummer møtet nedenfor for dem som ikke kunne være med, og skriv hvem som skal gjøre hva, og når det må være ferdig."),
    ("no", "Må selgeren fortelle oss om alle feil, eller bare om dem vi har spurt etter? Jeg lurer også på hvor lenge vi kan vente."),
    ("no", "Eg lurer på om seljaren må fortelje oss om alle feil, eller berre om dei vi har spurt etter. Kva gjer vi om han ikkje svarar?"),
    ("da", "Skriv et referat af mødet nedenfor til dem, som ikke kunne være med, og sig, hvem der skal gøre hvad hvornår."),
    ("da", "Skal sælgeren fortælle os om alle fejl, eller kun om dem, vi har spurgt til? Jeg vil også gerne vide, hvor længe vi kan vente."),
    ("fi", "Tiivistä alla oleva kokous niille, jotka eivät voineet olla paikalla, ja kerro kuka tekee mitä ja milloin sen pitää olla valmis."),
    ("fi", "Onko myyjän kerrottava meille kaikista virheistä vai vain niistä, joista olemme kysyneet?"),
    ("de", "Fasse die Besprechung für alle zusammen, die nicht dabei sein konnten, und sage, wer was bis wann zu tun hat."),
    ("de", "Muss uns der Verkäufer von jedem Mangel erzählen oder nur von denen, nach denen wir gefragt haben?"),
]  # fmt: skip

OTHERS = {
    "French": "Résume la réunion pour ceux qui n'ont pas pu y être, et dis qui doit faire quoi et pour quand. Le vendeur doit-il nous parler de tous les défauts, ou seulement de ceux que nous avons demandés ?",
    "Spanish": "Resume la reunión para los que no pudieron estar y di quién tiene que hacer qué y cuándo. ¿Debe el vendedor hablarnos de todos los defectos o solo de los que le preguntamos?",
    "Portuguese": "Resuma a reunião para quem não pôde estar presente e diga quem tem de fazer o quê e até quando. O vendedor deve falar-nos de todos os defeitos ou só daqueles de que perguntámos?",
    "Italian": "Riassumi la riunione per chi non ha potuto esserci e di' chi deve fare che cosa ed entro quando. Il venditore deve parlarci di tutti i difetti o solo di quelli che abbiamo chiesto?",
    "Catalan": "Resumeix la reunió per als que no hi van poder ser i digues qui ha de fer què i quan. El venedor ens ha de parlar de tots els defectes o només dels que li hem demanat?",
    "Romanian": "Rezumă ședința pentru cei care nu au putut fi acolo și spune cine ce are de făcut și până când. Trebuie vânzătorul să ne spună despre toate defectele sau doar despre cele de care am întrebat?",
    "Dutch": "Vat de vergadering samen voor wie er niet bij kon zijn, en zeg wie wat moet doen en wanneer het klaar moet zijn. Moet de verkoper ons over alle gebreken vertellen, of alleen over die waar we naar vroegen?",
    "Afrikaans": "Som die vergadering op vir almal wat nie daar kon wees nie, en sê wie wat moet doen en wanneer dit klaar moet wees. Moet die verkoper ons van al die foute vertel, of net van dié waaroor ons gevra het?",
    "Frisian": "Jou in koarte gearfetting fan de gearkomste foar wa't der net by wêze koe, en sis wa't wat dwaan moat en wannear't it klear wêze moat. Moat de ferkeaper ús alle brekken fertelle?",
    "Luxembourgish": "Faass d'Versammlung zesumme fir déi, déi net konnten do sinn, a so wie wat bis wéini maache muss. Muss de Verkeefer eis vun all Feeler erzielen oder nëmme vun deenen, no deene mir gefrot hunn?",
    "Low German": "Fat de Sitten kort tosamen för de, de dor nich bi wesen kunnen, un segg, wokeen wat doon schall un wannehr dat trecht wesen mutt. Mutt de Verköper uns vun all Fehlers vertellen?",
    "Icelandic": "Taktu fundinn saman fyrir þá sem gátu ekki verið með og segðu hver á að gera hvað og hvenær það þarf að vera tilbúið. Verður seljandinn að segja okkur frá öllum göllum eða bara þeim sem við spurðum um?",
    "Faroese": "Ger eina samandrátt av fundinum fyri tey, sum ikki kundu vera við, og sig, hvør skal gera hvat og nær tað skal vera liðugt. Skal seljarin siga okkum frá øllum feilum ella bara teimum, vit hava spurt um?",
    "Estonian": "Tee koosolekust kokkuvõte neile, kes ei saanud kohal olla, ja ütle, kes peab mida tegema ja mis ajaks see valmis peab olema. Kas müüja peab meile rääkima kõigist vigadest või ainult neist, mille kohta me küsisime?",
    "Northern Sami": "Čállit oanehis čoahkkáigeasu čoahkkimis sidjiide geat eai sáhttán leat mielde, ja muital gii galgá bargat maid ja goas dat galgá leat gárvvis.",
    "Latvian": "Apkopo sanāksmi tiem, kas nevarēja tajā būt, un pasaki, kam kas jādara un līdz kuram laikam. Vai pārdevējam mums jāstāsta par visiem trūkumiem vai tikai par tiem, par kuriem mēs jautājām?",
    "Lithuanian": "Apibendrink susitikimą tiems, kurie negalėjo jame būti, ir pasakyk, kas ką turi padaryti ir iki kada. Ar pardavėjas turi mums papasakoti apie visus trūkumus, ar tik apie tuos, kurių klausėme?",
    "Polish": "Streść spotkanie tym, którzy nie mogli na nim być, i powiedz, kto ma co zrobić i do kiedy. Czy sprzedawca musi nam powiedzieć o wszystkich wadach, czy tylko o tych, o które pytaliśmy?",
    "Czech": "Shrň schůzku pro ty, kdo na ní nemohli být, a řekni, kdo má co udělat a do kdy. Musí nám prodávající říct o všech vadách, nebo jen o těch, na které jsme se ptali?",
    "Slovene": "Povzemi sestanek za tiste, ki se ga niso mogli udeležiti, in povej, kdo mora kaj narediti in do kdaj. Ali nam mora prodajalec povedati za vse napake ali samo za tiste, po katerih smo vprašali?",
    "Croatian": "Sažmi sastanak za one koji nisu mogli biti na njemu i reci tko što mora napraviti i do kada. Mora li nam prodavatelj reći za sve nedostatke ili samo za one za koje smo pitali?",
    "Hungarian": "Foglald össze a megbeszélést azoknak, akik nem tudtak ott lenni, és mondd meg, kinek mit kell tennie és mikorra. Az eladónak minden hibáról beszélnie kell, vagy csak azokról, amelyekről kérdeztük?",
    "Turkish": "Toplantıyı, orada olamayanlar için özetle ve kimin neyi ne zamana kadar yapması gerektiğini söyle. Satıcı bize bütün kusurları mı anlatmalı, yoksa yalnızca sorduklarımızı mı?",
    "Latin": "Narra breviter quid in conventu actum sit iis qui adesse non potuerunt, et dic quis quid facere debeat et quando. Debetne venditor omnia vitia nobis dicere, an ea tantum de quibus rogavimus?",
    "Welsh": "Crynhoa'r cyfarfod i'r rhai nad oedd yn gallu bod yno, a dweud pwy sydd i wneud beth ac erbyn pryd. Oes rhaid i'r gwerthwr ddweud wrthym am bob nam, neu dim ond am y rhai y gofynnom amdanynt?",
    "Irish": "Déan achoimre ar an gcruinniú dóibh siúd nach raibh in ann a bheith ann, agus abair cé atá le cad a dhéanamh agus faoin am. An gcaithfidh an díoltóir gach locht a insint dúinn?",
    "Scots": "Gie us the short o the meetin for them that couldnae be there, an tell us wha haes tae dae whit an whan it maun be duin. Maun the seller tell us aboot ilka faut, or juist thae that we speirt aboot?",
    "Indonesian": "Ringkas rapat itu untuk mereka yang tidak dapat hadir, dan katakan siapa yang harus mengerjakan apa dan kapan. Apakah penjual harus memberi tahu kami semua cacat atau hanya yang kami tanyakan?",
    "Basque": "Laburtu bilera bertan egon ezin izan zirenentzat, eta esan nork zer egin behar duen eta noizko. Saltzaileak akats guztiak esan behar dizkigu, ala galdetu ditugunak bakarrik?",
    "Albanian": "Përmblidhe mbledhjen për ata që nuk mundën të ishin aty dhe thuaj kush duhet të bëjë çfarë dhe deri kur. A duhet shitësi të na tregojë për të gjitha të metat apo vetëm për ato që pyetëm?",
    "Esperanto": "Resumu la kunvenon por tiuj, kiuj ne povis ĉeesti, kaj diru, kiu devas fari kion kaj ĝis kiam. Ĉu la vendisto devas rakonti al ni pri ĉiuj difektoj aŭ nur pri tiuj, pri kiuj ni demandis?",
    "Swahili": "Fupisha mkutano kwa wale ambao hawakuweza kuwepo, na useme nani anapaswa kufanya nini na lini. Je, muuzaji lazima atuambie kuhusu kasoro zote, au zile tu tulizouliza?",
    "Vietnamese": "Hãy tóm tắt cuộc họp cho những người không thể có mặt và nói ai phải làm gì và khi nào xong. Người bán có phải cho chúng tôi biết mọi lỗi không?",
    "Russian": "Кратко изложи встречу для тех, кто не смог на ней быть, и скажи, кто, что и к какому сроку должен сделать.",
    "Greek": "Κάνε μια περίληψη της συνάντησης για όσους δεν μπόρεσαν να είναι εκεί και πες ποιος πρέπει να κάνει τι.",
    "Japanese": "出席できなかった人のために会議を要約し、誰が何をいつまでにすべきかを書いてください。",
}  # fmt: skip

CODE = """\
def total(orders, rate):
    result = 0
    for order in orders:
        if order.paid is None and not order.void:
            result += order.amount * rate
    return result
"""
QUERY = "select c.name, sum(o.amount) from orders o join customers c on c.id = o.customer_id where o.paid is null and not o.void group by c.name order by 2 desc"


@pytest.mark.parametrize(("language", "text"), OURS)
def test_a_sentence_or_two_is_told(language: str, text: str) -> None:
    """What people write is told from a sentence or two, in capitals, in small letters, and with code beside it."""
    assert language_of(text) == language
    assert language_of(text.upper()) == language
    assert language_of(f"{text}\n\n```python\n{CODE * 5}```\n") == language


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_another_language_is_never_taken_for_one_of_ours(text: str) -> None:
    """Also languages close to ours are None, whole or in halves."""
    half = len(text) // 2
    assert [language_of(part) for part in (text, text[:half], text[half:], text * 9)] == [None] * 4


@pytest.mark.parametrize("text", ["", "Hej!", "OK", "1 2 3", "https://example.com/the/of/to", CODE, QUERY, CODE * 40, '{"a": [1, 2]}', "Kan du det?"])  # fmt: skip
def test_what_is_too_short_or_no_language_is_not_told(text: str) -> None:
    """A greeting, numbers, code and what fits several languages are None."""
    assert language_of(text) is None


def test_a_mixed_text_is_not_told() -> None:
    """Two languages in about equal parts are None, whichever they are and whichever comes first."""
    told = [language_of(f"{one} {other}") for a, one in OURS for b, other in OURS if a != b]
    assert set(told) == {None}


def test_the_languages_are_those_of_samples() -> None:
    """Every language that a sample may name can be told."""
    assert {language for language, _ in OURS} == set(LANGUAGES)


def test_only_the_beginning_is_read() -> None:
    """A long text is told by its first two thousand characters."""
    swedish, english = OURS[2][1] + " ", OURS[0][1] + " "
    assert language_of(swedish * 20 + english * 200) == "sv"


def test_samples_are_told_as_what_they_are() -> None:
    """Of the packs' samples none is taken for another language, and few cannot be told, although many are code."""
    of = Counter[str | None]()
    none = Counter[str | None]()
    for sample in (sample for path in SETS for sample in read_set(path).samples):
        told = language_of(sample.input)
        assert told in (None, sample.language), sample.id
        of[sample.language] += 1
        none[sample.language] += told is None
    assert of.total() > 250
    assert none.total() < 0.16 * of.total()
    assert all(none[language] < 0.3 * of[language] for language in LANGUAGES)
