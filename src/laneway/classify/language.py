"""Language: a text in, the language that it is written in out, or None where that cannot be told.

Counts the small words that a language cannot do without, some endings and letters. Others than ours are known too,
if only as "another", so that Dutch is not taken for German nor Faroese for Norwegian. A lane is opened on evidence
for a language, so a doubt is None. Text that is fenced off with ``` is left out.
"""

from __future__ import annotations

from collections import defaultdict

__all__ = ["language_of"]

_READ = 2_048
"""How many characters of a text are looked at."""

_FEWEST = 3
"""As many small words at least, and such a share of all words."""
_SHARE = 0.2
_APART = 2
"""So many must speak for a language and not for another, and `_AGAINST` more for each that speaks the other way."""
_CLEARLY = 6
_AGAINST = 3
_PART = 512
"""Where the words alone do not tell, parts of words are looked for in so many characters."""

_CODES = {"e": "en", "s": "sv", "n": "no", "d": "da", "f": "fi", "g": "de"}
_OTHER = "x"

# A letter for each language, then its words. A word may stand in several lists; what tells two languages apart are
# the words that stand in one of their lists alone. So a list must hold what is common in its language, all of it.
_WORDS = {
    "e": """
        about above after again all also although among an another any anyone are at be because been before being below
        between both but by can cannot could did does doing don't done down during each either enough every few first
        following give given had has have having he her here him his how however i i'm i've if in into is it it's its
        just last least less like made make many may me might more most much must my need needed needs neither never
        next no nor of often on once one only other our out over own per please same she should since so some something
        still such than that that's the their them then there these they those though through to too two under unless
        until up us used very was we well were what when where whether which whose why will within without would you
        your
    """,
    "s": """
        alla allt alltid alltså andra annan annat att av bara bland blev bli blir blivit borde bort båda både bör dag
        dagar dagen de dem den denna deras dess dessa det detta dig din dina dit ditt du där därefter därför då efter
        eftersom ej eller en endast enligt er ett eventuellt fel finns fler flera fram framför från få får fått för före
        första genom ger ges gå går gör göra görs ha hade han hans har hela heller hennes hon hos hur här i icke in inga
        ingen inget innan inom inte ja jag ju kan kanske kom komma kommer kr kunde kunna kvar lika likaså lite man med
        medan mellan men mer mest mig min mina mitt mot mycket månad många måste ned nej ni nog nu nya när nästan någon
        något några och också olika om oss per procent på redan sade samma samt sedan sen senare ser sig sin sina sitt
        själv ska skall skriv skriva skulle som säger sätt så sådan sådana sådant tack till tills tio tre trots två
        under upp ur ut utan utom vad var vara varandra vare varför varit varje vart vecka veckor vem vi vid vidare
        vilka vilken vilket vill visst väl vår våra vårt än ännu är även år åt över
    """,
    "n": """
        alle allerede alltid alt altså andre annen annet at av bak bare begge blant ble blei bli blir blitt bruker burde
        både bør da dag dagen dager de deg dei dem den denne der deres dersom det dette di din dine disse ditt du eg ei
        ein eit eitt eller en ene enn er et etter fikk flere for foran forbi fordi fra fram frå få får fått før først
        gir gis gjelder gjennom gjort gjør gjøre gå går ha hadde han hans har hele heller hennar hennes her hjå ho hos
        hun hva hvem hver hvert hvilke hvilken hvilket hvis hvor hvordan hvorfor i ifølge ikke ikkje ingen ingenting inn
        innen inntil ja jeg jo kan kanskje kom komme kommer korleis kr kun kunne kva kvar kven kvifor lage ligger like
        litt man mange med meg meir mellom men mens mer mest min mindre mine minst mitt mot mye må måned måte måtte ned
        nei nesten no noe noen nok noko nokon nokre ny nye nå når og også om opp oppe oss over per prosent på sak saker
        samme sammen seg selv senere si sidan siden sier sin sine sitt sjå sjøl sjølv skal skriv skrive skulle slik
        slike slikt som sted så sånn takk til tilbake to uke uken uker under ut uten utenfor vart ved vel ver vera vere
        vi videre vil ville vore vår våre vårt være vært å år én òg
    """,
    "d": """
        ad af alle allerede alt altid altså anden andet andre at bag bare begge blandt blev blevet blive bliver bort
        bruger burde både bør da dag dage dagen de dem den denne der deres derfor desuden det dette dig din dine disse
        dit dog du efter eftersom ej eller en end endnu endvidere enten er et fik flere for foran fordi forskellige fra
        få fået får før først gennem gerne giv give giver gives gjort gå går gælder gør gøre haft ham han hans har havde
        have hele heller hen hende hendes her hos hun hvad hvem hver hvert hvilke hvilken hvilket hvis hvor hvordan
        hvorfor i ifølge igen igennem ikke imellem imod ind inden indtil ingen intet ja jeg jer jeres jo kan kom komme
        kommer kr kun kunne lave lidt lige ligger man mange med meget mellem men mens mere mest mig min mindre mindst
        mine mit mod må måde måned måske måtte ned nej next nogen noget nogle nok nu ny nye når næste næsten nødt og
        også om op oppe os over overfor per procent på sag sager samme sammen samt selv selvom sen senere siden sig
        siger sin sine sit skal skriv skrive skulle som sted står så sådan sådanne således tak til tilbage to ud uden
        udenfor udover uge ugen uger under ved vel vi videre vil ville vor vore vores være været år én
    """,
    "f": """
        ai aikana aina alla alle anna asti edelleen ehkä ei eikä eivät eli ellei en ennen ensin eri esim esimerkiksi
        ettei että he heidän heille hyvin hän hänelle hänen ilman itse ja jo joihin joilla joille joissa joista joita
        joka jokainen jokin joko jolla jolle jollei jolloin jolta jonka jos joskus jossa josta jota jotain jotka jotta
        juuri jälkeen kaikesta kaikki kaikkien kaikkiin kaksi kanssa kerran kerro kertaa koko kolme koska koskee kuin
        kuinka kuitenkaan kuitenkin kuka kukin kun kuten liian lisäksi luku me meidän meille mihin miksi mikä mikäli
        millainen mille milloin minkä minulla minulle minun minut minä missä mistä miten mitkä mitä mitään molemmat moni
        monta muiden muita mukaan mutta muu muun muut muuta myös myöskin ne neljä niiden niihin niille niin niissä
        niistä niitä noin nyt näiden näin näitä nämä ole olemme olen olet oleva olevan oli olisi olivat olkaa olla
        olleet ollut on onko ovat paljon pitäisi pitää saa saada saavat se sekä sen siellä siihen siinä siis siitä sille
        silloin sillä sinulle sinun sinä sitten sitä taas tai tapauksessa te tehdä teidän tekee tulee tulevat tuo
        tällainen tälle tällä tämä tämän tänä tässä tästä tätä täytyy vaan vai vaikka vain vasta vastaa vielä voi
        voidaan voivat vähintään vähän välillä yhden yhtä yksi yli
    """,
    "g": """
        aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beide beiden beim bereits bin
        bis bitte da dabei dadurch dafür damit danach dann daran darauf daraus darf das dass davon dazu dein dem den
        denen denn der deren des deshalb dessen die dies diese diesem diesen dieser dieses dir doch dort du durch dürfen
        eben ein eine einem einen einer eines einige er erst es etwa etwas euch euer falls für gegen gemacht gibt habe
        haben hat hatte hatten hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins ist ja jede
        jedem jeden jeder jedes jedoch jetzt kann kein keine keinen keiner konnte können lassen machen man mehr mein
        meine mich mir mit mittels muss musste müssen nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem
        seinen seiner seit selbst sich sie sind so sobald sofern solche soll sollen sollte sollten sondern sowie steht
        trotz um und uns unser unsere unter viel viele vom von vor wann war waren warum was wegen weil weitere welche
        welcher welches wenn wer werden wie wieder will wir wird wo worden wurde wurden während zu zum zur zwar zwischen
        über
    """,
}  # fmt: skip
_OTHERS = """
    a această acest això al ale alla alle allo am amb an ao aos aquest aquesta as até au aussi aux avait avea avec avez
    bien bij c'est ca care ce cela ces cet cette che chez ci ci-dessous com come comme como con contre cosa cu cuando
    d'un d'une da dai dal dalla dans dar das de debe degli dei del dell della delle dello dem den depuis der des desde
    det devi di die din dit do doit don donc donde dont dos du dun dunha după e el ella ellas elle elles ellos els em en
    encore entre então era eran es esta estas este esto estos está et eu faire fait falls fare fi fost fue fueron ha hai
    han hanno hasta hay hi ho i il ils isso j'ai je jusqu'à l'on la las le lei les leur leurs lo lor los lui ma mai mais
    mas me mes mi mia mio moi mon muito muy máis más même na nas ne nel nella nelle nem no non nos nosotros notre nous
    nu não né o on ont os ou où p par para pas pe pelo pels pentru per perché perquè però peut peuvent più plus pode
    podem pola polo por porque pour puede pueden qu'il qu'on qual quale quali quand quando que quel quelle quelles quels
    quem questa queste questi questo qui quien què sa sans sau se sem sempre ser será ses seu seus seva si sia siete sin
    sino sobre son sono sont sous su sua suas sul sulla sunt suo sur sus são să també também te tem tiene tienen todo
    todos tous tout toute toutes tra très tu tutti uma un una unas une unha uno unos uns você vos votre vous y ya yo à è
    é és être și

    'n aan af als altijd ander andere ass aw awer awm aye baie ben bent bij bijna bin bün daar dan dat de der deze die
    dinna dis dit dizze dié doen door dor du dus dy déi dës dëse ech een eens eerst ek elke en eng engem enger er fae
    fan fir foar frae för ga gaan gee geeft geen ginn goed gëtt ha haar had hae hat hawwe hebben hebbt hebt heeft heel
    hem hend het hien hier hierdie hij hoe hoeveel hom hulle hun hunn hutt iets ik in is isch isches it iwwer ja je jij
    jo jou jouw jullie jy kan kann kry kun kunnen kunt maar mag maken mat mee meer mei men mer met mij mijn mir mit moat
    moes moet moeten méi na naar nadat nae net nich nid nie niet niets nieuwe nix no noch nog nou nu nët nöd oan oder of
    ofte om omdat onder ons onze ook oor op over per sa sal schrijf se sech si sii sil sind sinn skriuw sy sê sünd tae
    te tegen terwijl thir tijdens toch toe tot tussen u uit un uw van vanaf veel via vir vo volgens von voor vooral
    vraag vum vun vör waar waarom wanneer waren was wat we weer wees wel welke werd werden whit wi wie wier wij wil wis
    wo word worden wordt wou wurdt wänn wéi ye yer yn zal ze zelf zesummen zich zij zijn zo zoals zonder zou zullen zum
    zwee öppis över

    af alla allt annað at av að bara ef eftir eg ein eini einn eitt ekki ella en er eru eða frá fyri fyrir fá fáa gera
    getur hafa hafi hana hann hans hava hefur hesum hetta hevur hon hvat hvað hver hvernig hvers hvort hví hvør hér hún
    ikki jafn já kann koma men með meðal milli millum minn mjög mun móti nakað né nú og okkar okkum okkur seg sem sinn
    skal skulu so sum svo svá sé sér sín síðan tann tað teimum teir tey til tá tær um undir upp uttan var vegna vera
    verða verður vil vit við vor vóru yfir ynskir yvir á án ár ég ì í úr þar þau það þegar þeim þeir þeirra þess þessi
    þessum þetta þið því þá þær þú

    aga ahte ainult alates alla buot dahje dat dán dát eest ega ehk ei enam enda ennast et ette go gos guoktelogi hea
    iga ii ilma ja jooksul ju juba järgi järgmine ka kas keda kelle kes kogu kohta koos kuhu kui kuid kuidas kõige kõik
    kõiki küll lea leamen leat lei ligi läbi ma maid mana mas mat me meie mida mii miks millal mille millest mina minu
    mis mitte mu mun muu mõne mõned nad need neid nende nii ning nüüd ole oled oleks olema olen oli olid olla oma on
    ongi osa pea peab pidi pole poolt pärast sa saa saab seda see selle selles sellest selline sest sii siin siis sina
    sinna sinu son suur ta te teie tema tuleb vaid vajalik vastu veel väga välja või võib ära üks üle üleval

    a aby ako ale ali ani ar arba arī až bei bet bez bi bija bilo bio biti bo bude budou bus buvo by byl byla być był
    była było byť být būt būti caur co czy da dla do dok dėl es ga gali gan gdje gdy go i ich ih iki ili in ir iz iš ja
    jak jako jau je jego jeho jei jej její jer jest jeśli jih jis jo jos još jsem jsou jste już jūs ka kad kada kai kaip
    kaj kako kao kas kde kdo ki ko koja koje koji kot která které který ktoré ktorý która które którzy kurie kuris kā ką
    lai li lub līdz ma man mi mnie może można mu musi musí mēs na nad nakon nas nav ne nebo nego nei nes ni nich nie
    niego nije nim njegov no nuo o od ode ona oni ono oraz pa pagal pak par per pie po pod podle podľa pokud pred preko
    prema pri prie pro protože przed przez przy pēc před při s sa samo savo se sem si sie się smo snad so sobie som ste
    su sve svi svoj své sú są ta tai tak tako také tam tas te tega tego tej ten tento ter teraz tiek tik to tu turi
    tylko tym tyto tā u un uz už v vai var ve već več viņa viņš vo vse w we więc wraz wszystko yra z za zato ze zostać
    został če ši šis što šī żeby že

    a abban akkor alanları alatt ama amely ami arra az azonban azt bana başka be ben benne bir biri biz bu bunu bütün
    csak da daha de değil diye e egy egyik el ellen en ennek ez ezek ezt fel felett fog gibi göre ha hanem hangi hem
    hepsi her hogy honnan ile ise itt için kadar kell kendi ki kim ko képes között le lehet lenne lesz ma meg mely mert
    mi mind minden mint mit már mı nagyon nasıl ne neden nem nincs nélkül o olan olarak oldu olduğu olması olup ona
    onlar onun pedig sem sen siz sonra szerint szükséges tarafından tud tüm utolsó után vagy van vannak var ve veya volt
    voltak ya yok çok én és így össze ő ők şu

    aboot baith canna couldna dae didna doun frae gie haes ilka juist mair maun richt sic thae thaim thon wad wha whan

    aan ac ad adalah ag agus aj ak akan ako al am amma an anda ang ankaŭ ann apo ar as asko at atau atque au aut autem
    ay ayaa bagi bahwa baino bat batean beberapa berada bere bhí bila bod boleh bydd cael cha cho chun cum các cái có
    của da dago dalam dan dapat dari dat ddim de dela dem den dengan devas dey dhe di dia dira dituzte do du duhet dum
    dy dá e egin ego ei el en enim erat ere est estas esti estis et eta etiam eu ex ez faoi fel fi fo fod gan gero go
    gur gyda haec harus hau havas hic hii hindi hiyo hoc hori hoặc i i'r ia id ili illa im in ini inter ipse is ita ito
    itu iyo izan janë jika jo juga ka kama kami katika ke kepada khi không ki kiel kita kiu kjo ko ku kun kung kwa ky la
    lakini laŭ lebih leis li là mae me mereka mewn mga mi mo mwen më một na nan ne nec neque neu ng nga nhw như những ni
    nid nihil nisi një non nos nunc này në ní nếu o oedd oes ol oleh oni oo ou pa pada para per pia po por post pou pri
    pro për quae quam quid quidem quo quod quoque që rhaid roedd sa saat sana saya se sebagai sebuah secara sed seo si
    sic sin sine siya sunt suo sur sy'n sydd sé së sẽ tam te telah thì tidak tio tiu trong trí tá të tại từ u untuk unu
    ut uu uzi vel vero vi vya và với wa waa wan waxaa wedi wetin wey wrth y ya yake yang yn yo yr ó ĉi ĉu đã được để ĝi
    ŝi
"""  # fmt: skip

_CODE = """
    a and as b by case class def do else end for from i if import in int is let new not null or return self this try
    while with
"""
"""Words of programs as much as of languages: they count for every language alike, and so tell none from another."""

# Which languages a letter, or a part of a word, speaks for.
_LETTERS = {
    "å": "snd", "ä": "sfgx", "ö": "sfgx", "ø": "ndx", "æ": "ndx", "ü": "gx", "ß": "g", "ð": "x", "þ": "x", "õ": "x",
    "ñ": "x", "ç": "x", "ł": "x", "ž": "x", "č": "x", "ã": "x", "ê": "x", "ı": "x", "ő": "x", "à": "x", "è": "x",
}  # fmt: skip
_PIECES = {
    "æn": "dx", "æg": "dx", "æl": "dx", "æs": "dx", "ej": "dsx", "øj": "dx", "igt ": "dsgx", " ud": "dx", "hed ": "de",
    "brug": "dgx", "søg": "dx", "tt ": "nsgefx", "kj": "nx", "øy": "nx", "ei": "ngefx", "sjon": "n", " ut": "nsex",
    "het ": "nsx", "bruk": "nsx", "søk": "nx", "ssa ": "f", "ssä ": "f", "ksi ": "f", "stä ": "f", "llä ": "f",
    "inen ": "f", "iin ": "f", "yy": "f", "ään ": "f", "isen ": "f", "ttä": "f", "ksen ": "f",
}  # fmt: skip
"""Parts of words, as the small ones of a short text often do not tell Norwegian from Danish."""


def _marks() -> dict[str, str]:
    marks: defaultdict[str, str] = defaultdict(str)
    for mark, words in (*_WORDS.items(), (_OTHER, _OTHERS)):
        for word in set(words.split()):
            marks[word] += mark
    return dict(marks) | dict.fromkeys(_CODE.split(), "".join(_CODES) + _OTHER)


_MARKS = _marks()


def language_of(text: str) -> str | None:
    """`en`, `sv`, `no`, `da`, `fi` or `de`; None for another language, and where it cannot be told.

    Both ways of writing Norwegian are `no`. A text in which two languages are mixed is None.
    """
    plain = "".join(text[:_READ].lower().split("```")[::2])
    for sign in ",.?:":
        plain = plain.replace(sign, " ")
    words = plain.split()
    found = list(filter(None, map(_MARKS.get, words)))
    found += _within(plain, _LETTERS)
    told = _told(found, len(words), _CLEARLY)
    if told is None:
        found += _within(plain[:_PART], _PIECES)
        told = _told(found, len(words), _APART)
    return told


def _within(text: str, parts: dict[str, str]) -> list[str]:
    return [mark for part, mark in parts.items() if part in text for _ in range(text.count(part))]


def _told(found: list[str], words: int, apart: int) -> str | None:
    """The language that most of what was `found` speaks for, where little enough speaks for any other alone."""
    marks = "".join(found)
    counts = {mark: marks.count(mark) for mark in (*_CODES, _OTHER)}
    best = max(_CODES, key=counts.__getitem__)
    most = counts[best]
    if most < max(_FEWEST, _SHARE * words):
        return None
    against = "".join(mark for mark in found if best not in mark)
    for other in counts.keys() - best:
        alone = against.count(other)
        if most - counts[other] + alone < apart + _AGAINST * alone:
            return None
    return _CODES[best]
