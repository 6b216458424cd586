"""Word and sentence material around the spans: openers, closers, phrases for each span class, trap sentences.

`{x}` is the span. A phrase is used only for spans of its class whose context it serves (see spans.py).
"""

# Words with a meaning inside spans; the random filler words never include them, so that a filler can't change a span.
SPECIAL = set(
    "zero oh o one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty "
    "fifty sixty seventy eighty ninety hundred thousand million billion trillion first second third fourth fifth sixth seventh eighth ninth tenth eleventh "
    "twelfth thirteenth twentieth thirtieth fortieth fiftieth hundredth thousandth millionth tens twenties thirties forties fifties sixties seventies eighties nineties "
    "january february march april may june july august september october november december monday tuesday wednesday thursday friday saturday sunday "
    "percent per cent cents penny pence dollar dollars euro euros pound pounds sterling yen rupee rupees point dot slash minus negative plus double triple "
    "quarter half past to till until of after and a an am pm m p oclock hours hour minute minutes degrees degree celsius fahrenheit square at in since "
    "kilometer kilometers kilometre kilometres meter meters metre metres centimeter centimeters millimeter millimeters mile miles yard yards foot feet inch inches "
    "kilogram kilograms kilo kilos gram grams milligram milligrams ounce ounces liter liters litre litres milliliter milliliters gallon gallons kilobyte kilobytes "
    "megabyte megabytes gigabyte gigabytes terabyte terabytes watt watts kilowatt kilowatts megawatt megawatts volt volts amp amps hertz kilohertz megahertz gigahertz "
    "decibel decibels horsepower room page chapter gate platform flight bus route number step version section level table lane highway line unit apartment suite "
    "channel track seat question exercise grade figure phase terminal season episode extension order building exit year".split()
)

FUNCTION = (
    "the the the the i you he she it we they this that these those my your his her our their is was are were be been will would can could should do does did "
    "have has had not no yes so but or if then when while because with without for from by on into over under about between through during before "
    "there here what who which how why where just only also very really still again never always often please thanks okay well maybe um uh "
    "don't it's i'm we're that's can't didn't you're i'll let's isn't he's what's there's couldn't wasn't they've"
).split()

COMMON = (
    "people time way thing man woman child day work life world school house family money car dog cat friend job home office city street book phone email message meeting "
    "report project team company customer manager doctor teacher student driver lunch dinner breakfast coffee water food kitchen garden window door weather music movie "
    "game ticket train plane station airport hotel trip weekend morning evening night week month today tomorrow yesterday tonight late early new old big small long short "
    "good bad great best better right left high low open closed free busy ready happy sorry sure make take get give go come see know think say tell ask call send "
    "buy sell pay need want like love find show try help start stop turn keep leave bring move play run read write learn change follow wait stay meet set put look "
    "remind schedule book cancel order check update add remove delete share print save load test build ship deploy review fix close answer reply forward mark "
    "price total amount balance account bill invoice payment rent salary tax budget profit loss sales market stock rate score result record population distance speed "
    "weight height length size temperature battery memory storage power energy voltage frequency percent increase decrease growth share discount offer deal "
    "john mary sarah david james anna emma peter paul laura london paris berlin chicago boston texas california india china japan africa europe"
).split()
COMMON = [w for w in COMMON if w not in SPECIAL]

NOUNS = (
    "people students apples cats dogs cars houses tickets chairs books pages files messages emails users servers requests errors tests meetings days weeks months years hours minutes seconds "
    "times questions answers items boxes bottles eggs cookies players teams games points goals votes seats seconds seconds minutes minutes hours hours days weeks months years years rooms floors windows doors trees birds cows sheep horses employees customers "
    "patients nurses doctors soldiers passengers guests children kids friends brothers sisters bags shirts shoes pairs cups slices pieces copies samples steps laps rounds stops stations "
    "cities countries states islands volunteers workers jobs shares units machines phones tables beds nights miles away others left more attempts reviews photos songs episodes chapters"
).split()
NOUNS = [w for w in NOUNS if w != "miles" and w != "units"]

OPENERS = [s.strip() for s in """
please remind me|remind me|can you remind us|set an alarm|set a timer|schedule a call with sarah|book a table|i need to leave|we will meet|the meeting starts|the train leaves|let's meet|i'll be there
she called me|he told me to come|i think we should start|the store opens|the shop closes|my flight lands|the doctor will see you|it happened|the war ended|the company was founded|she was born|he died|they got married
i paid|we paid|it cost me|the total was|the bill came out|he owes me|i owe you|she earns|they raised|please transfer|send|charge the card|the price dropped|i bought it|we sold the house|the fine is
there are|there were|we counted|i have|he has|they found|we need|she ordered|please add|about|almost|more than|less than|nearly|at least|around|up to|over|roughly|exactly
the value is|the average was|the result is|the answer is|it rose|it fell|profits grew|sales dropped|unemployment is|the rate is|inflation hit|the battery is|the chance of rain is
it weighs|he is|she ran|we drove|the box holds|the road is|the river is|the temperature is|it's|the room measures|the wall is|i lost|add|mix in|pour|the file is|the disk has|the engine makes
my number is|call me on|you can reach him|dial|text|the code is|the pin is|my account is|the zip code is|the password is|enter|type|go to|turn to|look at|see|open|we are in|i live in|it is in|meet me at the gate near
and|so|but then|well|okay so|um|yes|no|i said|he said|you know|i guess|as you can see|to be honest|by the way|in the end|last time|this year|next week|today|tomorrow|yesterday|last night|in general|for example
the teacher said|the report says|according to the news|the mayor announced|experts believe|i read somewhere|my boss wants|the customer asked for|the contract says|our records show|the witness saw
hi this is anna|hello|dear john|good morning|thanks for your help|sorry i'm late|can we|could you please|would you|do you think|is it true that|why did they|how come|where is|who won|what about
""".replace("\n", "|").split("|") if s.strip()]

CLOSERS = [s.strip() for s in """
please|thanks|thank you|okay|right|i think|if possible|as usual|with my mother|for the whole team|at the office|at home|in the garden|in the city|near the station|on the way home|to call my sister|to buy milk
and nobody noticed|and that was it|but i was late|but it was closed|because of the rain|so we left early|when the lights went out|if the weather is good|before you go|after that|again|every day|every week|each
in the old town|on the left|from the airport|for the party|for our guests|for the kids|for a while|with a friend|without any help|according to the report|on the website|in the last report|in our system|this morning
to finish the report|to pick up the kids|to see the doctor|and then call me back|and send it to david|and let me know|or something like that|or maybe later|is what he said|is what we agreed on|was the best part|seems wrong to me
is too much|is not enough|would be fine|sounds good|works for me|looks right|is correct|is a lot|was a record|is the limit|is the answer|on my desk|in the fridge|under the table|in cash|by card|in total|altogether|or so
""".replace("\n", "|").split("|") if s.strip()]

PHRASES = {
    "cardinal": [
        ("any", "{x} {noun}|about {x} {noun}|more than {x} {noun}|the {x} {noun}|all {x} of them|{x} of the {noun}|some {x} {noun}|only {x}|{x} new {noun}|over {x} {adj} {noun}|with {x} {noun}|{x} {noun} and more|between {x} and {x} {noun}|from {x} to {x}"
                "|it took {x} {noun}|{x} {noun} later|in {x} {noun}|for {x} {noun}|{x} {noun} ago|at least {x} {noun}|he is {x}|she turned {x}|at the age of {x}|a group of {x}|a population of {x}|{x} {noun} per day|of {x} {noun}|nearly {x} {noun}|{x}|every {x} {noun}|{x} {adj} {noun}|and {x} {noun}|or {x} {noun}|by {x} {noun}|under {x}|if {x} {noun} came|a {x} year old {noun1}|the {x} year old {noun1}|the last {x} {noun} of the {noun}"),
        ("count", "{x} {noun}|about {x} {noun}|the {x} {noun}|the other {x}|{x} of them|{x} of us|{x} more {noun}|in {x} {noun}|for {x} {noun}|{x} {noun} ago|only {x} {noun}|{x} or {x} {noun}|{x} {adj} {noun}|all {x} {noun}|just {x} {noun}|another {x} {noun}|table for {x}|group of {x}|{x} at a time|{x} by {x}|no {noun} but {x}|from {x} to {x}|between {x} and {x} {noun}|{x} and a half {noun}|every {x} {noun}|{x} and {x}"),
    ],
    "ordinal": [
        ("any", "the {x} time|on the {x}|her {x} birthday|the {x} floor|in the {x} century|the {x} of its kind|the {x} {noun1}|my {x} {noun1}|he came {x}|the {x} and the {x}|in {x} place|for the {x} time|our {x} anniversary|the {x} day|every {x} {noun1}|on {x} street|until the {x}|ranked {x}|the {x} {adj} {noun1}|his {x}|that is the {x} {noun1}|of the {x} {noun1}|this {x} {noun1}"),
        ("text", "the {x} time|on the {x}|her {x} birthday|the {x} floor|in the {x} century|the {x} of its kind|the {x} {noun1}|my {x} {noun1}|at {x}|he came {x}|the {x} and the {x}|in {x} place|for the {x} time|{x} of all|the {x} of them|the {x} {adj} {noun1}|every {x} {noun1}|our {x} try|{x} things first"),
    ],
    "decimal": [("any", "{x}|a factor of {x}|about {x}|an average of {x}|a score of {x}|rated {x}|the value {x}|{x} {noun}|around {x} {noun}|{x} times|from {x} to {x}|by {x}|equals {x}|is {x}|was {x}|a magnitude of {x}|set it to {x}|below {x}|and {x}|with {x} {noun}|the ratio is {x}|reached {x}|up to {x}|at {x}|of {x}|than {x}")],
    "percent": [("any", "{x}|by {x}|about {x}|{x} of the {noun}|of {x}|at {x}|up {x}|down {x}|to {x}|a {x} discount|an increase of {x}|{x} of all {noun}|only {x}|with {x} of the vote|more than {x}|{x} interest|{x} off|{x} more|{x} are {adj}|a {x} chance|is {x}|{x} of our {noun}|below {x}|and {x}|nearly {x}|between {x} and {x}|{x} last year|another {x}|full to {x}")],
    "measure": [
        ("any", "{x}|about {x}|{x} long|{x} of {word}|is {x} away|for {x}|with {x} of {word}|{x} wide|up to {x}|at {x}|by {x}|{x} from here|weighs {x}|more than {x}|{x} and {x}|around {x}|over {x}|{x} tall|another {x}|{x} deep|drops to {x}|to {x}|is {x}|only {x} left|{x} per day|within {x}|{x} outside|less than {x}|and {x} of {word}|set it to {x}|below {x}|{x} above the ground|the last {x}|{x} apart|{x} by {x}|under {x}|{x} heavier"),
        ("adjective", "a {x} {noun1}|the {x} {noun1}|this {x} {adj} {noun1}|our {x} {noun1}|an old {x} {noun1}|a new {x} {noun1}|his {x} {noun1}"),
    ],
    "money": [
        ("any", "{x}|for {x}|about {x}|{x} worth of {word}|cost {x}|pay {x}|to pay {x}|{x} a month|{x} an hour|{x} per person|of {x}|with {x}|{x} for the {noun}|{x} to {word}|more than {x}|a fee of {x}|up to {x}|{x} each|{x} in cash|only {x}|owes me {x}|{x} and {x}|is {x}|at {x}|by {x}|a price of {x}|under {x}|over {x}|{x} cheaper|less than {x}|transfer {x} to {word}|from {x} to {x}|save {x}|{x} back|{x} on {word}|another {x}|a bill for {x}|{x} last year|just {x}|{x} a night"),
        ("adjective", "a {x} bill|the {x} {noun1}|this {x} {noun1}|our {x} {adj} {noun1}|a {x} {noun1}|a new {x} {noun1}|his {x} fine|an extra {x} fee"),
    ],
    "date": [
        ("any", "on {x}|by {x}|until {x}|since {x}|before {x}|after {x}|from {x}|{x} is my birthday|due {x}|it's {x}|{x}|the deadline is {x}|{x} works|starting {x}|for {x}|born on {x}|dated {x}|to {x}|is {x}|between {x} and {x}|from {x} to {x}|was {x}|around {x}|no later than {x}|this {x}|next {x}|as of {x}|of {x}|and {x}|through {x}"),
        ("year", "in {x}|since {x}|back in {x}|before {x}|the {x} election|until {x}|in early {x}|in late {x}|the summer of {x}|the class of {x}|by {x}|from {x} to {x}|between {x} and {x}|{x} was a good year|the {x} world cup|around {x}|as early as {x}|after {x}|of {x}|was built in {x}|circa {x}|a {x} film|in the spring of {x}|in {x} half of the {noun}|in {x} a {noun1}|by {x} most {noun}"),
        ("year-only", "in {x}|since {x}|back in {x}|before {x}|until {x}|in early {x}|in late {x}|the summer of {x}|the class of {x}|by {x}|from {x} to {x}|the year {x}|in the year {x}|after {x}|was built in {x}|born in {x}|died in {x}|between {x} and {x}|in {x} half of the {noun}|in {x} a {noun1}|by {x} most {noun}"),
        ("decade", "in the {x}|the {x} were {adj}|since the late {x}|music from the {x}|in the early {x}|of the {x}|a {x} {noun1}|during the {x}|the {x}|{x} style"),
    ],
    "time": [
        ("any", "at {x}|by {x}|until {x}|before {x}|around {x}|after {x}|from {x} to {x}|it's {x}|{x} works|since {x}|for {x}|the {x} train|tomorrow at {x}|at {x} sharp|between {x} and {x}|{x}|at {x} in the morning|tonight at {x}|no later than {x}|is {x}|at {x} on friday|at about {x}|it was {x}|to {x}|every day at {x}|monday at {x}|starting at {x}|ends at {x}|at {x} tomorrow|and at {x}|at exactly {x}"),
        ("at", "at {x}|tomorrow at {x}|at about {x}|every day at {x}|and at {x}|meet me at {x}"),
        ("at-only", "at {x}|tomorrow at {x}|every day at {x}|and at {x}|at exactly {x}"),
    ],
    "digits": [
        ("any", "{x}|my number is {x}|call {x}|the code is {x}|code {x}|pin {x}|the zip code is {x}|dial {x}|reference {x}|account {x}|text {x}|the id is {x}|with the code {x}|ending in {x}|at {x}|on {x}|is {x}|under {x}|press {x}|my new number {x}|password {x}|serial {x}|port {x}|or {x}|area code {x}|using {x}|ticket {x}|and then {x}|to {x}"),
        ("label", "{x}|in {x}|at {x}|on {x}|to {x}|see {x}|the {x}|go to {x}|take {x}|for {x}|of {x}|from {x}|is {x}|near {x}|and {x}|open {x}|is {x} free|until {x}"),
    ],
}
PHRASES = {cls: [(context, text.split("|")) for context, text in rows] for cls, rows in PHRASES.items()}

# Text that looks like a span and is not one: it stays as it is.
TRAPS = [s.strip() for s in """
you may go now|may i come in|we may never know|it may rain later|they march through the town every spring|the army will march at dawn|he gave me a second chance|wait a second|just a second please|in a split second
that is a good point|what is the point|there is no point in arguing|the main point is clear|at this point i give up|point taken|a pound of flesh|he lost a few pounds|the dogs are in the pound|half of the people left
half the time he is asleep|a quarter of the cake|the first quarter was strong|cut it in half|half an hour ago|a half hour later|she is my better half|double the recipe|a double espresso please|triple the effort
it's a plus for us|plus it was cheap|on the plus side|the answer was negative|a negative review|minus the noise it was great|oh no|oh i see|oh well never mind|connect the dot|on the dot|one of my friends called|one day we will know
no one knows|everyone is here|this one is better|which one do you want|the one with the hat|one another|a couple of days|a dozen eggs|two dozen roses|a few hundred people|hundreds of people|thousands of miles away|millions of stars
several thousand years|many hundred birds|the percentage is small|a small percent of them|by the hour|per person|the dollar is strong|a dollar is a dollar|euros are accepted here|pounds and pence|the foot of the mountain|on foot
he is six feet under|by the inch|miles away from home|go the extra mile|a mile away|walk a mile|a liter of milk|the degree was hard to get|she has a degree in law|to a degree|a hot summer day with high degrees
first of all|first things first|at first i was afraid|second to none|the third man was late|for the second time|third time lucky|the first of many|the second world war|the first day of school|the fifth element|the ninth symphony
past and future|in the past|she walked past me|half past noon|quarter to midnight|to and fro|the minutes of the meeting|give me five minutes|two minutes later|in three hours|for four days|seven days a week|five years ago|six months later
nine lives|three wishes|two and a half men|one and a half hours|the four of us|two by two|five or six people|one or two things|a table for four|seven dwarfs|at six|at nine tonight|by eight tomorrow|around seven|from nine to five|until three
in her twenties|the roaring twenties|the eighties were fun|music from the nineties|he is in his forties|zero tolerance|zero interest in it|zero problems|the magic seven|ten to one he is wrong
the oh so famous singer|i am at home|am i late|i am here|who am i|the a team|a and b|plan b|i am in the room|room for rent|the page is empty|turn the page|the bus is late|the gate is closed|the number is wrong|step by step
next level|the table is set|this line is busy|exit the building|a unit of time|the order is late|in order to win|grade the papers|figure it out|a sunday in may|in march|last april|every january|on monday|since december|friday night
march was cold|may is my favorite month|in august we travel|see you on tuesday|a square meal|square one|the slash key|hyphens and dots|dot com|a version of the truth|noon|midnight|at noon|before midnight|this year|every year|new year's day
two thirds of the class|one half of the money|three quarters of an hour|a third of the people|one third is gone|four fifths|the phone rang twice|once upon a time|a million thanks to you is not a number here|second hand shop|first class ticket
""".replace("\n", "|").split("|") if s.strip()]
TRAPS = [t for t in TRAPS if not t.startswith(("a million", "ten to one", "he is six feet", "half past", "quarter to"))]
