import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.List;
import javax.security.auth.x500.X500Principal;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.keyinfo.X509Data;
import javax.xml.crypto.dsig.keyinfo.X509IssuerSerial;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;

/** The JDK's own XML signatures: `verify CERTIFICATE DOCUMENT` and `sign CERTIFICATE KEY DOCUMENT`. */
public class Signature {
    private static final XMLSignatureFactory FACTORY = XMLSignatureFactory.getInstance("DOM");

    public static void main(String[] arguments) throws Exception {
        X509Certificate certificate = (X509Certificate) CertificateFactory.getInstance("X.509")
                .generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(arguments[1]))));
        if (arguments[0].equals("verify")) {
            verify(certificate, parse(arguments[2]));
        } else {
            sign(certificate, privateKey(arguments[2]), parse(arguments[3]));
        }
    }

    private static void verify(X509Certificate certificate, Document document) throws Exception {
        Element element = (Element) document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature").item(0);
        DOMValidateContext context = new DOMValidateContext(certificate.getPublicKey(), element);
        context.setProperty("org.jcp.xml.dsig.secureValidation", true);
        XMLSignature signature = FACTORY.unmarshalXMLSignature(context);
        X509Data data = (X509Data) signature.getKeyInfo().getContent().get(0);
        X509IssuerSerial named = (X509IssuerSerial) data.getContent().get(0);
        boolean same = new X500Principal(named.getIssuerName()).equals(certificate.getIssuerX500Principal())
                && named.getSerialNumber().equals(certificate.getSerialNumber());
        System.out.println("signature " + signature.validate(context));
        System.out.println("certificate " + same);
        System.out.println("issuer as written by Java " + certificate.getIssuerDN().toString());
        for (Object reference : signature.getSignedInfo().getReferences()) {
            System.out.println("reference '" + ((Reference) reference).getURI() + "' "
                    + ((Reference) reference).validate(context));
        }
    }

    private static void sign(X509Certificate certificate, PrivateKey key, Document document) throws Exception {
        KeyInfoFactory infos = FACTORY.getKeyInfoFactory();
        X509Data data = infos.newX509Data(List.of(
                infos.newX509IssuerSerial(certificate.getIssuerDN().toString(), certificate.getSerialNumber())));
        KeyInfo info = infos.newKeyInfo(List.of(data), "key-info-id");
        CanonicalizationMethod exclusive =
                FACTORY.newCanonicalizationMethod(CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null);
        DigestMethod sha256 = FACTORY.newDigestMethod(DigestMethod.SHA256, null);
        Transform enveloped = FACTORY.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null);
        List<Reference> references = List.of(
                FACTORY.newReference("#key-info-id", sha256, List.of(exclusive), null, null),
                FACTORY.newReference("", sha256, List.of(enveloped, exclusive), null, null));
        XMLSignature signature = FACTORY.newXMLSignature(
                FACTORY.newSignedInfo(
                        exclusive,
                        FACTORY.newSignatureMethod("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", null),
                        references),
                info, null, null, null);
        Element root = document.getDocumentElement();
        DOMSignContext context = new DOMSignContext(key, root, root.getFirstChild());
        context.setDefaultNamespacePrefix("ds");
        signature.sign(context);
        TransformerFactory.newInstance().newTransformer().transform(new DOMSource(document), new StreamResult(System.out));
    }

    private static Document parse(String path) throws Exception {
        DocumentBuilderFactory builders = DocumentBuilderFactory.newInstance();
        builders.setNamespaceAware(true);
        return builders.newDocumentBuilder().parse(new File(path));
    }

    private static PrivateKey privateKey(String path) throws Exception {
        byte[] der = Files.readAllBytes(Path.of(path));
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(der));
    }
}
