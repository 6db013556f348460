"""Brazilian names to make people and companies of: accents, apostrophes, hyphens, and `&` in company names."""

GIVEN_NAMES = (
    "Adriana", "Aílton", "Alexandre", "Amanda", "Ana", "André", "Antônio", "Beatriz", "Bruno", "Caetano", "Camila",
    "Carlos", "Cecília", "César", "Cláudia", "Conceição", "Cristina", "Daniel", "Débora", "Diego", "Édson", "Eduardo",
    "Elaine", "Érica", "Fábio", "Fátima", "Fernanda", "Flávio", "Francisco", "Gabriel", "Geraldo", "Glória", "Helena",
    "Heloísa", "Henrique", "Inês", "Isabela", "Ítalo", "João", "Joaquim", "José", "Júlia", "Juliana", "Larissa",
    "Letícia", "Lívia", "Lourenço", "Lúcia", "Luís", "Luiz", "Marcelo", "Márcia", "Maria", "Mário", "Mateus",
    "Mônica", "Natália", "Otávio", "Patrícia", "Paulo", "Pedro", "Rafael", "Raimunda", "Renata", "Roberto",
    "Rogério", "Sandra", "Sebastião", "Sérgio", "Sílvia", "Sônia", "Tatiana", "Thaís", "Tiago", "Valéria", "Vera",
    "Vinícius", "Vitória", "Wellington", "Zélia",
)  # fmt: skip
SURNAMES = (
    "Almeida", "Alves", "Amaral", "Andrade", "Antunes", "Araújo", "Assunção", "Azevêdo", "Barbosa", "Barros",
    "Batista", "Bragança", "Brandão", "Caldeira", "Camargo", "Cardoso", "Carvalho", "Castro", "Conceição", "Corrêa",
    "Costa", "Coutinho", "Cruz", "Cunha", "D'Ávila", "Dias", "Duarte", "Farias", "Fernandes", "Ferreira", "Figueirêdo",
    "Fonseca", "Freitas", "Gomes", "Gonçalves", "Guimarães", "Lacerda", "Leão", "Lima", "Lopes", "Macêdo", "Machado",
    "Magalhães", "Marques", "Martins", "Melo", "Mendonça", "Monteiro", "Morais", "Moreira", "Moura", "Nascimento",
    "Nóbrega", "Nogueira", "Nunes", "Oliveira", "Paixão", "Pereira", "Pinheiro", "Queiroz", "Ramos", "Rezende",
    "Ribeiro", "Rocha", "Rodrigues", "Sá-Carneiro", "Sales", "Sampaio", "Santana", "Santos", "Silva", "Siqueira",
    "Soares", "Sousa", "Souza", "Teixeira", "Valença", "Vasconcelos", "Vieira", "Villas-Bôas",
)  # fmt: skip
PARTICLES = ("", "", "", " da", " de", " do", " dos")
TRADES = (
    "Açougue", "Auto Peças", "Bazar", "Cafeteria", "Calçados", "Clínica Odontológica", "Comércio de Confecções",
    "Confeitaria", "Construções", "Distribuidora", "Drogaria", "Editora", "Farmácia", "Floricultura", "Imobiliária",
    "Laticínios", "Livraria", "Materiais de Construção", "Mercearia", "Móveis", "Ótica", "Padaria", "Papelaria",
    "Pousada", "Restaurante", "Serviços de Informática", "Sorveteria", "Supermercado", "Transportes", "Vidraçaria",
)  # fmt: skip
COMPANY_FORMS = (
    "Ltda", "Ltda.", "LTDA", "S/A", "S.A.", "EIRELI", "ME", "& Cia Ltda", "& Filhos Ltda", "& Irmãos Ltda - EPP",
    "(Matriz) Ltda",
)  # fmt: skip
NICKNAMES = (
    "3 Irmãos", "Aurora", "Bom Preço", "Central", "Cia & Sabor", "d'Oeste", "Estrela", "Flor do Campo", "Ipê",
    "Nossa Senhora Aparecida", "Nº 1", "Pão & Arte", "Primavera", "São João", "Sertão", "União",
)  # fmt: skip
MAIL_DOMAINS = (
    "gmail.com", "hotmail.com", "outlook.com", "yahoo.com.br", "uol.com.br", "bol.com.br", "terra.com.br",
    "empresa-exemplo.com.br", "escola.edu.br", "icloud.com",
)  # fmt: skip
AREA_CODES = (
    11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 24, 27, 28, 31, 32, 33, 34, 35, 37, 38, 41, 42, 43, 44, 45, 46, 47,
    48, 49, 51, 53, 54, 55, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 73, 74, 75, 77, 79, 81, 82, 83, 84, 85, 86, 87,
    88, 89, 91, 92, 93, 94, 95, 96, 97, 98, 99,
)  # fmt: skip
